// What a call pays for being checked, beside its floor: the SHA-256 of the token.
//
//   access_bench [--benchmark_filter=...]
//
// 1,000 tokens in the table; the caller has one role on ten queues. `off` has neither tokens nor
// limits; `rate` has a limit that is never reached. Two threads share one table and one client.
#include <benchmark/benchmark.h>
#include <openssl/evp.h>

#include <string>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "broker/server/access.h"

namespace barista::server {
namespace {

constexpr char kSecret[] = "9f2d6c1b7a4e83509f2d6c1b7a4e83509f2d6c1b7a4e83509f2d6c1b7a4e8350";

class BenchCaller final : public Caller {
 public:
  absl::string_view Authorization() const override { return authorization_; }
  std::string Client() const override { return "10.0.0.1"; }

 private:
  const std::string authorization_ = absl::StrCat("Bearer ", kSecret);
};

std::string Sha256(absl::string_view text) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int bytes = 0;
  EVP_Digest(text.data(), text.size(), digest, &bytes, EVP_sha256(), nullptr);
  return std::string(reinterpret_cast<const char*>(digest), bytes);
}

std::shared_ptr<const TokenTable> Tokens() {
  std::string text = "tokens:\n";
  for (int i = 0; i < 1000; ++i) {
    absl::StrAppend(&text, "  - {name: t", i, ", sha256: ",
                    absl::BytesToHexString(Sha256(i == 500 ? kSecret : absl::StrCat(i))),
                    ", send: [q0, q1, q2, q3, q4, q5, q6, q7, q8, orders]}\n");
  }
  auto table = TokenTable::Parse(text, "tokens.yaml");
  return table.ok() ? *std::move(table) : nullptr;
}

void Check(benchmark::State& state, Access& access) {
  const BenchCaller caller;
  for (auto _ : state) {
    if (!access.Check(caller, "SendMessage", "orders").ok()) {
      state.SkipWithError("refused");
      return;
    }
  }
}

void BM_CheckOff(benchmark::State& state) {
  static Access access(nullptr, {}, Clock::System());
  Check(state, access);
}
BENCHMARK(BM_CheckOff);

void BM_CheckToken(benchmark::State& state) {
  static Access access(Tokens(), {}, Clock::System());
  Check(state, access);
}
BENCHMARK(BM_CheckToken)->Threads(1)->Threads(2);

// As dear as the machine's, and so fast that no limit is ever reached.
class FastClock final : public Clock {
 public:
  absl::Time Now() const override { return Clock::System()->Now(); }
  absl::Duration Monotonic() const override { return 1000 * Clock::System()->Monotonic(); }
};

void BM_CheckTokenRate(benchmark::State& state) {
  static FastClock clock;
  static Access access(Tokens(), {.requests_per_second = RequestRate::kMaxPerSecond}, &clock);
  Check(state, access);
}
BENCHMARK(BM_CheckTokenRate)->Threads(1)->Threads(2);

void BM_FloorSha256(benchmark::State& state) {
  EVP_MD* const sha256 = EVP_MD_fetch(nullptr, "SHA256", nullptr);
  unsigned char digest[EVP_MAX_MD_SIZE];
  for (auto _ : state) {
    EVP_MD_CTX* const context = EVP_MD_CTX_new();
    EVP_DigestInit_ex2(context, sha256, nullptr);
    EVP_DigestUpdate(context, kSecret, sizeof(kSecret) - 1);
    EVP_DigestFinal_ex(context, digest, nullptr);
    EVP_MD_CTX_free(context);
    benchmark::DoNotOptimize(digest);
  }
  EVP_MD_free(sha256);
}
BENCHMARK(BM_FloorSha256);

}  // namespace
}  // namespace barista::server

BENCHMARK_MAIN();
