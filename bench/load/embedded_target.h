#ifndef BARISTA_BENCH_LOAD_EMBEDDED_TARGET_H_
#define BARISTA_BENCH_LOAD_EMBEDDED_TARGET_H_

#include <memory>

#include "bench/load/load_target.h"

namespace barista::bench {

// A broker in this process, by the callback forms of its API. `broker` is not owned and outlives
// the target.
std::unique_ptr<LoadTarget> NewEmbeddedTarget(Broker* broker);

}  // namespace barista::bench

#endif  // BARISTA_BENCH_LOAD_EMBEDDED_TARGET_H_
