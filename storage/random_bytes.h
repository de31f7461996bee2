#ifndef BARISTA_STORAGE_RANDOM_BYTES_H_
#define BARISTA_STORAGE_RANDOM_BYTES_H_

#include <cstddef>
#include <string>

namespace barista::storage {

// `size` bytes of the kernel's randomness, size <= 256: keys and identities. Thread-safe.
std::string RandomBytes(size_t size);

}  // namespace barista::storage

#endif  // BARISTA_STORAGE_RANDOM_BYTES_H_
