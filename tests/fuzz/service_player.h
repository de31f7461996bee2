#ifndef TESTS_FUZZ_SERVICE_PLAYER_H_
#define TESTS_FUZZ_SERVICE_PLAYER_H_

#include <grpcpp/channel.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/support/byte_buffer.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "broker/server/server.h"
#include "tests/fuzz/service_script.pb.h"

namespace barista::fuzz {

// Plays scripts against a real server in this process, over its Unix socket, and ends the process
// with a text where the server breaks its word:
//
//   - a call ends within kPatience;
//   - what fails has an ErrorInfo of domain barista with a reason, a code that error.proto knows,
//   and
//     a text; a batch has a result for each entry;
//   - a unary call that is refused has changed nothing (I9): definitions, depths, counters; the two
//     latter as long as time has not moved, since then messages come and go by themselves;
//   - afterwards a good message can be sent and received.
//
// The broker is in memory, its clock stands still but for what the script says, and for a receive
// that waits, which would never end. Thread-compatible.
class ServicePlayer {
 public:
  static constexpr absl::Duration kPatience = absl::Seconds(20);

  ServicePlayer();
  // Ends the server.
  ~ServicePlayer();

  void Play(const Script& script);

 private:
  // How a call ended, and what came before.
  struct Outcome {
    grpc::Status status;
    std::vector<std::string> responses;
  };
  Outcome Call(const std::string& path, const std::vector<std::string>& requests);

  void PlayStep(Step step);
  void PlayUnary(const std::string& path, const std::string& request);
  void PlayStream(const std::string& path, const std::vector<std::string>& requests);
  void PlayBytes(const Bytes& bytes);
  // Puts the receipt handles in the place of "$N".
  void Resolve(Step* step) const;
  // Notes what was received.
  void Learn(const std::string& path, absl::string_view request, absl::string_view response);

  void CheckFailure(const std::string& path, const grpc::Status& status) const;
  void CheckThatItServes();
  void Advance(absl::Duration step);
  // Everything that clients can see of the broker and that only calls change, as text.
  std::string Snapshot() const;
  [[noreturn]] void Broken(const std::string& path, const std::string& what) const;

  std::string directory_;
  std::unique_ptr<server::Server> server_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<grpc::GenericStub> stub_;
  // Of the script.
  std::vector<std::string> handles_;
  bool time_moved_ = false;
};

}  // namespace barista::fuzz

#endif  // TESTS_FUZZ_SERVICE_PLAYER_H_
