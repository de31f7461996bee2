#ifndef BARISTA_BROKER_BROKER_IMPL_H_
#define BARISTA_BROKER_BROKER_IMPL_H_

#include <memory>

#include "absl/status/statusor.h"
#include "barista/broker.h"
#include "storage/store.h"

namespace barista::internal {

// A broker on a store of the caller's choice: how tests put a file system of theirs under it.
// `options` as given to Broker::Open; a non-empty data_dir says that the store is durable, and is
// not opened.
absl::StatusOr<std::unique_ptr<Broker>> OpenBroker(const BrokerOptions& options,
                                                   std::unique_ptr<storage::Store> store);

}  // namespace barista::internal

#endif  // BARISTA_BROKER_BROKER_IMPL_H_
