#ifndef BARISTA_STORAGE_MEMORY_STORE_H_
#define BARISTA_STORAGE_MEMORY_STORE_H_

#include <memory>

#include "storage/store.h"

namespace barista::storage {

// A store that keeps everything in memory and nothing beyond its life: brokers without a data
// directory, tests, simulations.
std::unique_ptr<Store> NewMemoryStore();

}  // namespace barista::storage

#endif  // BARISTA_STORAGE_MEMORY_STORE_H_
