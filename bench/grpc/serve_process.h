#ifndef BARISTA_BENCH_GRPC_SERVE_PROCESS_H_
#define BARISTA_BENCH_GRPC_SERVE_PROCESS_H_

#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "bench/common/child.h"
#include "bench/grpc/raw_client.h"

namespace barista::bench {

// A `barista serve` of our own on free ports. Killed by the destructor.
class ServeProcess {
 public:
  // Starts `barista` (path of the command) on the data directory `dir`/data, and waits until it is
  // ready, at most `patience`.
  static absl::StatusOr<ServeProcess> Start(const std::string& barista, const std::string& dir,
                                            const std::vector<std::string>& more_flags = {},
                                            absl::Duration patience = absl::Seconds(60));

  const std::string& grpc_address() const { return grpc_address_; }
  const std::string& admin_address() const { return admin_address_; }
  pid_t pid() const { return child_.pid(); }
  Child& child() { return child_; }

 private:
  explicit ServeProcess(Child child) : child_(std::move(child)) {}

  Child child_;
  std::string grpc_address_, admin_address_;
};

// The value of the metric `name`, without labels, that the administration at `address` shows; -1 if
// there is none.
double ScrapeOf(const std::string& address, const std::string& name);

// Calls `method` of barista.v1.QueueService and waits, at most 10 s, for the answer.
template <typename Request, typename Response>
absl::Status CallQueueService(RawClient& client, const std::string& method, const Request& request,
                              Response* response) {
  grpc::ByteBuffer bytes;
  if (absl::Status status =
          CallAndWait(client, "/barista.v1.QueueService/" + method, ToByteBuffer(request), &bytes);
      !status.ok()) {
    return status;
  }
  if (!FromByteBuffer(bytes, response)) return absl::InternalError("malformed reply");
  return absl::OkStatus();
}

// CreateQueue with the given attributes, in text form.
absl::Status CreateQueue(RawClient& client, const std::string& name,
                         const std::map<std::string, std::string>& attributes);

}  // namespace barista::bench

#endif  // BARISTA_BENCH_GRPC_SERVE_PROCESS_H_
