#ifndef BROKER_SERVER_SERVE_H_
#define BROKER_SERVER_SERVE_H_

namespace barista::server {

// The command `barista serve`: reads the settings, serves until SIGTERM or SIGINT, drains, and
// returns the exit code: 0 after a clean end, 1 if it could not start or close (one line on
// standard error says why), 2 for wrong usage, such as a listener that other machines reach without
// --insecure or authentication. A second signal ends the process at once, with 1. SIGHUP reads
// certificates and tokens again, and the settings: what can be changed is changed (reload.h), the
// rest is named in the log; settings that are wrong change nothing. Where systemd waits for it, it
// is told about start, reload and end, and a watchdog is fed (service_manager.h). argv[0] is not
// looked at. Call it once in a process, from the main thread and before other threads exist: it
// takes over the three signals.
int ServeMain(int argc, char** argv);

}  // namespace barista::server

#endif  // BROKER_SERVER_SERVE_H_
