#include "tests/fuzz/message_mutator.h"

#include <google/protobuf/descriptor.pb.h>

#include <algorithm>
#include <limits>

namespace barista::fuzz {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

constexpr size_t kMaxTextBytes = 8192;
// Limits of names, ids, attributes and queues, and one past each.
constexpr size_t kLengths[] = {1, 80, 81, 128, 129, 256, 257, 1023, 1024, 1025, 4096};
// Limits of counts, seconds and credit, and their neighbours.
constexpr int64_t kNumbers[] = {0,       1,         2,          3,          10,     11,    999,
                                1000,    1001,      3600,       3601,       43200,  43201, 100'000,
                                100'001, 1'000'000, 2147483647, 2147483648, -1,     -1000, 64,
                                999999,  900,       901,        4294967295, 10'000, 10'001};

bool IsMessage(const FieldDescriptor& field) {
  return field.cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE;
}

// "key" and "value" of a map say nothing: it is "QueueAttributes.key" by the map's own name.
std::string NameOf(const FieldDescriptor& field) {
  if (!field.containing_type()->options().map_entry()) return field.name();
  const std::string& outer = field.containing_type()->containing_type()->name();
  return outer + "." + field.containing_type()->name() + "." + field.name();
}

}  // namespace

void MessageMutator::Collect(Message* message, int depth, std::vector<Site>* sites) const {
  if (depth > kMaxDepth) return;
  const Reflection& reflection = *message->GetReflection();
  for (int i = 0; i < message->GetDescriptor()->field_count(); ++i) {
    const Field* const field = message->GetDescriptor()->field(i);
    if (field->is_repeated()) {
      const int size = reflection.FieldSize(*message, field);
      if (size < kMaxElements) sites->push_back({message, field, kWhole, Kind::kAdd});
      for (int j = 0; j < size; ++j) {
        sites->push_back({message, field, j, Kind::kRemove});
        if (size < kMaxElements) sites->push_back({message, field, j, Kind::kCopy});
        if (size > 1) sites->push_back({message, field, j, Kind::kSwap});
        if (IsMessage(*field)) {
          Collect(reflection.MutableRepeatedMessage(message, field, j), depth + 1, sites);
        } else {
          sites->push_back({message, field, j, Kind::kChange});
        }
      }
      continue;
    }
    const bool there = !field->has_presence() || reflection.HasField(*message, field);
    if (!there) {
      sites->push_back({message, field, kWhole, Kind::kAdd});
      continue;
    }
    if (field->has_presence()) sites->push_back({message, field, kWhole, Kind::kRemove});
    if (IsMessage(*field)) {
      Collect(reflection.MutableMessage(message, field), depth + 1, sites);
    } else {
      sites->push_back({message, field, kWhole, Kind::kChange});
    }
  }
}

void MessageMutator::Mutate(Message* message) {
  std::vector<Site> sites;
  Collect(message, 0, &sites);
  // What the message itself has would hardly be chosen among all that is in it.
  if (OneIn(4)) {
    sites.erase(std::remove_if(sites.begin(), sites.end(),
                               [&](const Site& site) { return site.message != message; }),
                sites.end());
  }
  if (!sites.empty()) Apply(AnyOf(sites));
}

void MessageMutator::Apply(const Site& site) {
  Message& message = *site.message;
  const Reflection& reflection = *message.GetReflection();
  const Field* const field = site.field;
  switch (site.kind) {
    case Kind::kAdd:
      return Add(&message, *field, 0);
    case Kind::kRemove: {
      if (site.index == kWhole) return reflection.ClearField(&message, field);
      const int last = reflection.FieldSize(message, field) - 1;
      for (int i = site.index; i < last; ++i) reflection.SwapElements(&message, field, i, i + 1);
      return reflection.RemoveLast(&message, field);
    }
    case Kind::kCopy: {
      if (IsMessage(*field)) {
        Message* const copy = reflection.AddMessage(&message, field);
        copy->CopyFrom(reflection.GetRepeatedMessage(message, field, site.index));
      } else {
        Add(&message, *field, 0);
      }
      return;
    }
    case Kind::kSwap: {
      const int size = reflection.FieldSize(message, field);
      return reflection.SwapElements(&message, field, site.index,
                                     static_cast<int>(random_() % size));
    }
    case Kind::kChange:
      return Set(&message, *field, site.index);
  }
}

void MessageMutator::Add(Message* message, const Field& field, int depth) {
  const Reflection& reflection = *message->GetReflection();
  if (!IsMessage(field)) return Set(message, field, kWhole);
  Fill(field.is_repeated() ? reflection.AddMessage(message, &field)
                           : reflection.MutableMessage(message, &field),
       depth + 1);
}

void MessageMutator::Fill(Message* message, int depth) {
  if (depth > kMaxDepth) return;
  const auto& descriptor = *message->GetDescriptor();
  for (int i = 0; i < descriptor.real_oneof_decl_count(); ++i) {
    const auto& choices = *descriptor.oneof_decl(i);
    Add(message, *choices.field(static_cast<int>(random_() % choices.field_count())), depth);
  }
  for (int i = 0; i < descriptor.field_count(); ++i) {
    const Field& field = *descriptor.field(i);
    if (field.real_containing_oneof() != nullptr) continue;
    // A queue is nearly always named.
    if (field.name() == "queue" ? OneIn(16) : OneIn(2)) continue;
    const uint64_t count = field.is_repeated() ? 1 + random_() % 3 : 1;
    for (uint64_t j = 0; j < count; ++j) Add(message, field, depth);
  }
}

template <typename T>
T MessageMutator::Number(T old) {
  switch (random_() % 4) {
    case 0:
      return static_cast<T>(static_cast<uint64_t>(old) + (OneIn(2) ? 1 : ~uint64_t{0}));
    case 1:
      return static_cast<T>(random_() % 8);
    case 2:
      return OneIn(4) ? (OneIn(2) ? std::numeric_limits<T>::max() : std::numeric_limits<T>::min())
                      : static_cast<T>(random_());
    default:
      return static_cast<T>(AnyOf(kNumbers));
  }
}

std::string MessageMutator::Text(const Field& field, const std::string& old) {
  const auto known = words_.find(NameOf(field));
  if (known != words_.end() && !OneIn(5)) return AnyOf(known->second);
  if (OneIn(8)) {
    const std::string unit = old.empty() ? "x" : old;
    const size_t length = AnyOf(kLengths);
    std::string text;
    while (text.size() < length) text += unit;
    text.resize(length);
    return text;
  }
  return mutate_bytes_(old, kMaxTextBytes);
}

void MessageMutator::Set(Message* message, const Field& field, int index) {
  const Reflection& reflection = *message->GetReflection();
  const auto set = [&](auto get, auto get_repeated, auto set_one, auto set_repeated, auto add,
                       auto change) {
    if (!field.is_repeated()) {
      (reflection.*set_one)(message, &field, change((reflection.*get)(*message, &field)));
    } else if (index == kWhole) {
      (reflection.*add)(message, &field, change({}));
    } else {
      (reflection.*set_repeated)(message, &field, index,
                                 change((reflection.*get_repeated)(*message, &field, index)));
    }
  };
  using R = Reflection;
  switch (field.cpp_type()) {
    case Field::CPPTYPE_INT32:
      return set(&R::GetInt32, &R::GetRepeatedInt32, &R::SetInt32, &R::SetRepeatedInt32,
                 &R::AddInt32, [this](int32_t old) { return Number(old); });
    case Field::CPPTYPE_INT64:
      return set(&R::GetInt64, &R::GetRepeatedInt64, &R::SetInt64, &R::SetRepeatedInt64,
                 &R::AddInt64, [this](int64_t old) { return Number(old); });
    case Field::CPPTYPE_UINT32:
      return set(&R::GetUInt32, &R::GetRepeatedUInt32, &R::SetUInt32, &R::SetRepeatedUInt32,
                 &R::AddUInt32, [this](uint32_t old) { return Number(old); });
    case Field::CPPTYPE_UINT64:
      return set(&R::GetUInt64, &R::GetRepeatedUInt64, &R::SetUInt64, &R::SetRepeatedUInt64,
                 &R::AddUInt64, [this](uint64_t old) { return Number(old); });
    case Field::CPPTYPE_BOOL:
      return set(&R::GetBool, &R::GetRepeatedBool, &R::SetBool, &R::SetRepeatedBool, &R::AddBool,
                 [](bool old) { return !old; });
    case Field::CPPTYPE_STRING: {
      if (!field.is_repeated()) {
        return reflection.SetString(message, &field,
                                    Text(field, reflection.GetString(*message, &field)));
      }
      if (index == kWhole) return reflection.AddString(message, &field, Text(field, ""));
      return reflection.SetRepeatedString(
          message, &field, index,
          Text(field, reflection.GetRepeatedString(*message, &field, index)));
    }
    default:
      return;  // requests have no others
  }
}

}  // namespace barista::fuzz
