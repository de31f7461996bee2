#ifndef BROKER_SERVER_QUEUE_METHODS_H_
#define BROKER_SERVER_QUEUE_METHODS_H_

#include "barista/v1/queue.grpc.pb.h"

namespace barista::server {

// v1::QueueService::CallbackService but for the streams, whose frames are bytes (stream_reactor.h):
// gRPC has a class per method, and which of its two forms is used is said method by method.
namespace queue_methods {
using All = v1::QueueService;

template <typename Base>
using Definitions = All::WithCallbackMethod_CreateQueue<All::WithCallbackMethod_GetQueue<
    All::WithCallbackMethod_SetQueueAttributes<All::WithCallbackMethod_DeleteQueue<
        All::WithCallbackMethod_ListQueues<All::WithCallbackMethod_PurgeQueue<
            All::WithCallbackMethod_TagQueue<All::WithCallbackMethod_UntagQueue<Base>>>>>>>>;
template <typename Base>
using Messages = All::WithCallbackMethod_SendMessage<All::WithCallbackMethod_ReceiveMessage<
    All::WithCallbackMethod_DeleteMessage<All::WithCallbackMethod_ChangeMessageVisibility<
        All::WithCallbackMethod_PeekMessages<Base>>>>>;
template <typename Base>
using Streams =
    All::WithRawCallbackMethod_SendStream<All::WithRawCallbackMethod_ConsumeStream<Base>>;
}  // namespace queue_methods

using QueueMethods = queue_methods::Definitions<
    queue_methods::Messages<queue_methods::Streams<v1::QueueService::Service>>>;

}  // namespace barista::server

#endif  // BROKER_SERVER_QUEUE_METHODS_H_
