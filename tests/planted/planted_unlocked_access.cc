// A guarded member read without its lock, planted. Clang's thread-safety analysis must refuse it.
#include "absl/base/thread_annotations.h"
#include "broker/base/mutex.h"

class Account {
 public:
  int balance() const { return balance_; }

 private:
  barista::Mutex mutex_;
  int balance_ ABSL_GUARDED_BY(mutex_) = 0;
};

int main() { return Account().balance(); }
