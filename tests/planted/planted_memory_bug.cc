// A use after free and a signed overflow, planted. The sanitizers of the asan preset must report
// both.
#include <cstring>
#include <limits>
#include <memory>

#include "barista/broker.h"

namespace {

int UseAfterFree() {
  auto handle = std::make_unique<barista::ReceiptHandle>();
  const barista::ReceiptHandle* stale = handle.get();
  handle.reset();
  return *reinterpret_cast<const volatile unsigned char*>(stale);
}

int Overflow(int by) {
  volatile int limit = std::numeric_limits<int>::max();
  return limit + by;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  if (std::strcmp(argv[1], "use_after_free") == 0) return UseAfterFree();
  return Overflow(argc - 1) == 0 ? 1 : 0;
}
