#ifndef BARISTA_BROKER_QUEUE_RECEIPT_H_
#define BARISTA_BROKER_QUEUE_RECEIPT_H_

#include <cstdint>
#include <optional>

#include "barista/message.h"
#include "broker/base/ids.h"
#include "broker/base/siphash.h"
#include "broker/core/slab.h"

namespace barista::internal {

// What a receipt handle says: which receive of which message, and where the message lies in memory
// while this boot lasts.
struct Receipt {
  uint32_t boot = 0;
  QueueId queue;
  Sequence sequence;
  core::MsgId message;
  uint32_t receives = 0;
};

// Seals the receipt with a keyed hash. ~20 ns.
ReceiptHandle SealReceipt(const Receipt& receipt, const SipKey& key);
// nullopt if the handle was not sealed with `key` (I6).
std::optional<Receipt> OpenReceipt(const ReceiptHandle& handle, const SipKey& key);

}  // namespace barista::internal

#endif  // BARISTA_BROKER_QUEUE_RECEIPT_H_
