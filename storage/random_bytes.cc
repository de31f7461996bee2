#include "storage/random_bytes.h"

#include <unistd.h>

#include <random>

namespace barista::storage {

std::string RandomBytes(size_t size) {
  std::string bytes(size, '\0');
  if (getentropy(bytes.data(), size) != 0) {
    // A kernel without getrandom(2): the device that the standard library finds.
    std::random_device device;
    for (char& byte : bytes) byte = static_cast<char>(device());
  }
  return bytes;
}

}  // namespace barista::storage
