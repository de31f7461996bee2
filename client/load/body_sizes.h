#ifndef BARISTA_CLIENT_LOAD_BODY_SIZES_H_
#define BARISTA_CLIENT_LOAD_BODY_SIZES_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace barista::load {

// How large the bodies of a run are, by the number of the message: so that whoever receives one
// knows which size it must have. Immutable.
class BodySizes {
 public:
  static constexpr size_t kLeast = 48;  // what MessageText needs for itself
  static constexpr size_t kMost = size_t{1} << 20;
  static constexpr size_t kMaxSizes = 64;

  // All of `bytes`, in [kLeast, kMost].
  BodySizes(size_t bytes) : sizes_{bytes} {}  // NOLINT(google-explicit-constructor)
  // 1 to kMaxSizes sizes in turn. kInvalidArgument: one is out of [kLeast, kMost].
  static absl::StatusOr<BodySizes> InTurn(std::vector<size_t> sizes);
  // From `least` to `most`, each as often as any other. kInvalidArgument: out of [kLeast, kMost],
  // or the wrong way round.
  static absl::StatusOr<BodySizes> Between(size_t least, size_t most);

  size_t Of(uint64_t number) const;
  size_t least() const;
  size_t most() const;
  // "1024", "100,1024", "100-1024": bytes.
  std::string ToString() const;

 private:
  BodySizes() = default;

  std::vector<size_t> sizes_;  // with range_, its two ends
  bool range_ = false;
};

}  // namespace barista::load

#endif  // BARISTA_CLIENT_LOAD_BODY_SIZES_H_
