#include "client/load/ledger.h"

#include <cstring>
#include <utility>

namespace barista::load {
namespace {

constexpr size_t kRunDigits = 8, kProducerDigits = 8, kNumberDigits = 16;

void WriteHex(uint64_t value, size_t digits, char* out) {
  for (size_t i = digits; i-- > 0; value >>= 4) out[i] = "0123456789abcdef"[value & 15];
}

// Accepts what WriteHex writes, and nothing else.
bool ReadHex(const char* text, size_t digits, uint64_t* value) {
  *value = 0;
  for (size_t i = 0; i < digits; ++i) {
    const char c = text[i];
    uint64_t digit;
    if (c >= '0' && c <= '9') {
      digit = static_cast<uint64_t>(c - '0');
    } else if (c >= 'a' && c <= 'f') {
      digit = static_cast<uint64_t>(c - 'a') + 10;
    } else {
      return false;
    }
    *value = *value << 4 | digit;
  }
  return true;
}

}  // namespace

NumberSet::NumberSet() : chunks_(new std::atomic<Chunk*>[kLimit / kChunkBits] {}) {}

NumberSet::~NumberSet() {
  for (uint64_t i = 0; i < kLimit / kChunkBits; ++i) {
    delete chunks_[i].load(std::memory_order_relaxed);
  }
}

bool NumberSet::Insert(uint64_t number) {
  std::atomic<Chunk*>& slot = chunks_[number / kChunkBits];
  Chunk* chunk = slot.load(std::memory_order_acquire);
  if (chunk == nullptr) {
    auto fresh = std::make_unique<Chunk>();
    if (slot.compare_exchange_strong(chunk, fresh.get(), std::memory_order_acq_rel)) {
      chunk = fresh.release();
    }
  }
  const uint64_t bit = uint64_t{1} << number % 64;
  const uint64_t before =
      (*chunk)[number % kChunkBits / 64].fetch_or(bit, std::memory_order_relaxed);
  return (before & bit) == 0;
}

bool NumberSet::Contains(uint64_t number) const {
  const Chunk* chunk = chunks_[number / kChunkBits].load(std::memory_order_acquire);
  return chunk != nullptr &&
         ((*chunk)[number % kChunkBits / 64].load(std::memory_order_relaxed) >> number % 64 & 1) !=
             0;
}

MessageText::MessageText(uint32_t run, BodySizes sizes)
    : sizes_(std::move(sizes)), pattern_(sizes_.most(), '.') {
  WriteHex(run, kRunDigits, pattern_.data());
  for (size_t i = kHeaderBytes; i < pattern_.size(); ++i) {
    pattern_[i] = static_cast<char>('a' + i % 26);
  }
}

size_t MessageText::Write(const LoadMessage& message, char* out) const {
  const size_t bytes = sizes_.Of(message.number);
  std::memcpy(out, pattern_.data(), bytes);
  out += kRunDigits;
  WriteHex(message.producer, kProducerDigits, out);
  WriteHex(message.number, kNumberDigits, out + kProducerDigits);
  WriteHex(static_cast<uint64_t>(message.intended_ns), 16, out + kProducerDigits + kNumberDigits);
  return bytes;
}

std::optional<LoadMessage> MessageText::Read(absl::string_view body) const {
  if (body.size() < kHeaderBytes || body.size() > pattern_.size() ||
      std::memcmp(body.data(), pattern_.data(), kRunDigits) != 0 ||
      std::memcmp(body.data() + kHeaderBytes, pattern_.data() + kHeaderBytes,
                  body.size() - kHeaderBytes) != 0) {
    return std::nullopt;
  }
  const char* header = body.data() + kRunDigits;
  uint64_t producer, number, intended;
  if (!ReadHex(header, kProducerDigits, &producer) ||
      !ReadHex(header + kProducerDigits, kNumberDigits, &number) ||
      !ReadHex(header + kProducerDigits + kNumberDigits, 16, &intended) ||
      body.size() != sizes_.Of(number)) {
    return std::nullopt;
  }
  return LoadMessage{static_cast<uint32_t>(producer), number, static_cast<int64_t>(intended)};
}

Ledger::Ledger(int producers, MessageText text) : text_(std::move(text)) {
  for (int i = 0; i < producers; ++i) producers_.push_back(std::make_unique<Producer>());
}

void Ledger::Sent(const LoadMessage& message) {
  // One thread per producer.
  producers_[message.producer]->sent.store(message.number + 1, std::memory_order_relaxed);
}

void Ledger::Acknowledged(const LoadMessage& message) {
  producers_[message.producer]->acknowledged.Insert(message.number);
  acknowledged_.fetch_add(1, std::memory_order_relaxed);
}

std::optional<LoadMessage> Ledger::Delivered(absl::string_view body) {
  auto message = text_.Read(body);
  if (!message.has_value() || message->producer >= producers_.size() ||
      message->number >= producers_[message->producer]->sent.load(std::memory_order_relaxed)) {
    foreign_.fetch_add(1, std::memory_order_relaxed);
    return std::nullopt;
  }
  if (producers_[message->producer]->delivered.Insert(message->number)) {
    delivered_.fetch_add(1, std::memory_order_relaxed);
  } else {
    duplicates_.fetch_add(1, std::memory_order_relaxed);
  }
  return message;
}

int64_t Ledger::outstanding() const {
  return acknowledged_.load(std::memory_order_relaxed) - delivered_.load(std::memory_order_relaxed);
}

Ledger::Verdict Ledger::Judge() const {
  Verdict verdict;
  verdict.acknowledged = static_cast<uint64_t>(acknowledged_.load(std::memory_order_relaxed));
  verdict.delivered = static_cast<uint64_t>(delivered_.load(std::memory_order_relaxed));
  verdict.duplicates = duplicates_.load(std::memory_order_relaxed);
  verdict.foreign = foreign_.load(std::memory_order_relaxed);
  for (const auto& producer : producers_) {
    const uint64_t sent = producer->sent.load(std::memory_order_relaxed);
    for (uint64_t n = 0; n < sent; ++n) {
      if (producer->acknowledged.Contains(n) && !producer->delivered.Contains(n)) ++verdict.lost;
    }
  }
  return verdict;
}

}  // namespace barista::load
