#ifndef BARISTA_CLIENT_LOAD_EMBEDDED_TARGET_H_
#define BARISTA_CLIENT_LOAD_EMBEDDED_TARGET_H_

#include <memory>

#include "barista/broker.h"
#include "client/load/load_target.h"

namespace barista::load {

// A broker in this process, by the callback forms of its API. `broker` is not owned and outlives
// the target.
std::unique_ptr<LoadTarget> NewEmbeddedTarget(Broker* broker);

}  // namespace barista::load

#endif  // BARISTA_CLIENT_LOAD_EMBEDDED_TARGET_H_
