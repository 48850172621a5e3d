#include "models/pickle_machine.h"

#include <utility>

#include "models/pickle_globals.h"
#include "models/pickle_opcodes.h"
#include "models/pickle_stack.h"
#include "models/pickle_tensors.h"
#include "models/strict_json.h"

namespace limewash::models {

namespace {

// Public checkpoints with their optimizer's states stay below a tenth of this.
constexpr size_t kMaxTensors = 200'000;
constexpr size_t kMaxArguments = 8;
constexpr uint64_t kMaxProtocol = 5;

class PickleMachine : private PickleStack {
 public:
  using PickleStack::PickleStack;

  Pickle run() {
    while (true) {
      const Opcode opcode = next_opcode();
      if (opcode == Opcode::kStop) break;
      if (!push_constant(opcode) && !push_text(opcode) && !change_container(opcode) &&
          !use_memo(opcode) && !build_object(opcode)) {
        fail("opcode " + std::to_string(static_cast<int>(opcode)) +
             " is none that torch.save writes (protocol 2 and later)");
      }
    }
    return finish();
  }

 private:
  void push_integer(int64_t integer) {
    push_new(PickleKind::kInteger).integer = integer;
  }

  void push_text(PickleKind kind, uint64_t size) {
    const std::string_view text = take(size);
    push_new(kind).text = text;
  }

  bool push_constant(Opcode opcode) {
    switch (opcode) {
      case Opcode::kProto:
        if (number(1) > kMaxProtocol) fail("a protocol above 5");
        return true;
      case Opcode::kFrame:
        if (number(8) > bytes_left()) fail("it ends too early (truncated?)");
        return true;
      case Opcode::kNone:
        push_new(PickleKind::kNone);
        return true;
      case Opcode::kNewTrue:
      case Opcode::kNewFalse:
        push_new(PickleKind::kBoolean).integer = opcode == Opcode::kNewTrue ? 1 : 0;
        return true;
      case Opcode::kBinInt:
        push_integer(static_cast<int32_t>(number(4)));
        return true;
      case Opcode::kBinInt1:
        push_integer(static_cast<int64_t>(number(1)));
        return true;
      case Opcode::kBinInt2:
        push_integer(static_cast<int64_t>(number(2)));
        return true;
      case Opcode::kLong1:
        push_long(number(1));
        return true;
      case Opcode::kBinFloat:
        take(8);
        push_new(PickleKind::kFloat);  // no weight depends on its value
        return true;
      default:
        return false;
    }
  }

  /// Little-endian, two's complement.
  void push_long(uint64_t size) {
    const std::string_view text = take(size);
    if (size > 8) {
      push_new(PickleKind::kLong).text = text;
      return;
    }
    uint64_t bits = !text.empty() && (text.back() & 0x80) ? ~uint64_t{0} : 0;
    for (size_t i = text.size(); i-- > 0;) bits = bits << 8 | static_cast<unsigned char>(text[i]);
    push_integer(static_cast<int64_t>(bits));
  }

  bool push_text(Opcode opcode) {
    switch (opcode) {
      case Opcode::kShortBinUnicode:
      case Opcode::kShortBinString:  // Python 2's text
        push_text(PickleKind::kText, number(1));
        return true;
      case Opcode::kBinUnicode:
      case Opcode::kBinString:
        push_text(PickleKind::kText, number(4));
        return true;
      case Opcode::kBinUnicode8:
        push_text(PickleKind::kText, number(8));
        return true;
      case Opcode::kShortBinBytes:
        push_text(PickleKind::kBytes, number(1));
        return true;
      case Opcode::kBinBytes:
        push_text(PickleKind::kBytes, number(4));
        return true;
      case Opcode::kBinBytes8:
        push_text(PickleKind::kBytes, number(8));
        return true;
      default:
        return false;
    }
  }

  // ---- containers

  void push_items(PickleKind kind, std::vector<uint32_t> items) {
    push_new(kind).items = std::move(items);
  }

  void push_tuple(size_t size) {
    std::vector<uint32_t> items(size);
    for (size_t i = size; i-- > 0;) items[i] = pop();
    push_items(PickleKind::kTuple, std::move(items));
  }

  void add_to_list(uint32_t list, const std::vector<uint32_t>& items) {
    PickleValue& target = value(list);
    if (target.kind == PickleKind::kForeign) return;
    if (target.kind != PickleKind::kList) fail("appends to what is no list");
    target.items.insert(target.items.end(), items.begin(), items.end());
  }

  void add_to_dict(uint32_t dict, const std::vector<uint32_t>& items) {
    PickleValue& target = value(dict);
    if (target.kind == PickleKind::kForeign) return;
    if (target.kind != PickleKind::kDict) fail("sets an item of what is no dictionary");
    if (items.size() % 2 != 0) fail("a key without a value");
    target.items.insert(target.items.end(), items.begin(), items.end());
  }

  bool change_container(Opcode opcode) {
    switch (opcode) {
      case Opcode::kMark:
        push_mark();
        return true;
      case Opcode::kPop:
        // As in Python: on a mark it takes the mark.
        if (!pop_top_mark()) pop();
        return true;
      case Opcode::kPopMark:
        pop_to_mark();
        return true;
      case Opcode::kDup:
        push(top());
        return true;
      case Opcode::kEmptyList:
      case Opcode::kEmptySet:
        push_new(PickleKind::kList);
        return true;
      case Opcode::kEmptyDict:
        push_new(PickleKind::kDict);
        return true;
      case Opcode::kEmptyTuple:
        push_new(PickleKind::kTuple);
        return true;
      case Opcode::kTuple1:
        push_tuple(1);
        return true;
      case Opcode::kTuple2:
        push_tuple(2);
        return true;
      case Opcode::kTuple3:
        push_tuple(3);
        return true;
      case Opcode::kTuple:
        push_items(PickleKind::kTuple, pop_to_mark());
        return true;
      case Opcode::kFrozenSet:
        push_items(PickleKind::kList, pop_to_mark());
        return true;
      case Opcode::kAppend: {
        const uint32_t item = pop();
        add_to_list(top(), {item});
        return true;
      }
      case Opcode::kAppends:
      case Opcode::kAddItems: {
        const auto items = pop_to_mark();
        add_to_list(top(), items);
        return true;
      }
      case Opcode::kSetItem: {
        const uint32_t item = pop(), key = pop();
        add_to_dict(top(), {key, item});
        return true;
      }
      case Opcode::kSetItems: {
        const auto items = pop_to_mark();
        add_to_dict(top(), items);
        return true;
      }
      default:
        return false;
    }
  }

  // ---- memo

  bool use_memo(Opcode opcode) {
    switch (opcode) {
      case Opcode::kBinPut:
        memoize(number(1));
        return true;
      case Opcode::kLongBinPut:
        memoize(number(4));
        return true;
      case Opcode::kMemoize:
        memoize(memo_size());
        return true;
      case Opcode::kBinGet:
        recall(number(1));
        return true;
      case Opcode::kLongBinGet:
        recall(number(4));
        return true;
      default:
        return false;
    }
  }

  // ---- globals and what is made from them

  [[noreturn]] void refuse(std::string_view module, std::string_view name) const {
    fail("the file names " + printable(std::string(module)) + "." + printable(std::string(name)) +
         ": making it would run code, and limewash reads weights only. Save the state_dict alone, "
         "best as safetensors");
  }

  void push_global(std::string_view module, std::string_view name) {
    if (!pickle_role(module, name)) refuse(module, name);
    PickleValue& global = push_new(PickleKind::kGlobal);
    global.text = module;
    global.name = name;
  }

  PickleRole role_of(uint32_t place) {
    const PickleValue& global = value(place);
    if (global.kind == PickleKind::kForeign) return PickleRole::kForeign;
    if (global.kind != PickleKind::kGlobal) fail("calls what is no name");
    return *pickle_role(global.text, global.name);
  }

  bool build_object(Opcode opcode) {
    switch (opcode) {
      case Opcode::kGlobal: {
        const std::string_view module = line(), name = line();
        push_global(module, name);
        return true;
      }
      case Opcode::kStackGlobal: {
        const uint32_t name = pop(), module = pop();
        if (value(name).kind != PickleKind::kText || value(module).kind != PickleKind::kText) {
          fail("a name that is no text");
        }
        push_global(value(module).text, value(name).text);
        return true;
      }
      case Opcode::kInst: {
        // Only ever written for classes of Python 2; no weight is made this way.
        const std::string_view module = line(), name = line();
        refuse(module, name);
      }
      case Opcode::kObj: {
        const auto items = pop_to_mark();
        if (items.empty() || role_of(items[0]) != PickleRole::kForeign) {
          fail("makes an object, which would run code");
        }
        push_new(PickleKind::kForeign);
        return true;
      }
      case Opcode::kReduce:
      case Opcode::kNewObj: {
        const uint32_t arguments = pop(), callee = pop();
        if (role_of(callee) == PickleRole::kForeign) {
          push_new(PickleKind::kForeign);
          return true;
        }
        call(callee, tuple_items(arguments, kMaxArguments, "arguments"));
        return true;
      }
      case Opcode::kBuild: {
        pop();
        // The attributes of an ordered dictionary (a state_dict's _metadata) are not needed.
        const PickleKind kind = value(top()).kind;
        if (kind != PickleKind::kDict && kind != PickleKind::kForeign) {
          fail("sets attributes of what is no dictionary");
        }
        return true;
      }
      case Opcode::kBinPersistentId:
        push_storage(pop());
        return true;
      default:
        return false;
    }
  }

  /// A copy, since a push moves all values.
  std::vector<uint32_t> tuple_items(uint32_t place, size_t most, const char* what) {
    const PickleValue& tuple = value(place);
    if (tuple.kind != PickleKind::kTuple || tuple.items.size() > most) {
      fail(std::string(what) + ": expected a tuple of at most " + std::to_string(most));
    }
    return tuple.items;
  }

  void call(uint32_t callee, const std::vector<uint32_t>& arguments) {
    const PickleRole role = role_of(callee);
    switch (role) {
      case PickleRole::kOrderedDict:
        push_ordered_dict(arguments);
        return;
      case PickleRole::kSize:
        if (arguments.size() != 1 || value(arguments[0]).kind != PickleKind::kTuple) {
          fail("a size that is no tuple");
        }
        push(arguments[0]);
        return;
      case PickleRole::kSet:
        if (arguments.size() != 1 || value(arguments[0]).kind != PickleKind::kList) {
          fail("a set that is made from no list");
        }
        push(arguments[0]);
        return;
      case PickleRole::kRebuildParameter:
        if (arguments.empty() || value(arguments[0]).kind != PickleKind::kTensor) {
          fail("a parameter without a tensor");
        }
        push(arguments[0]);
        return;
      case PickleRole::kRebuildTensor:
      case PickleRole::kRebuildTensorV2:
      case PickleRole::kRebuildTensorV3:
        push_tensor(role, arguments);
        return;
      default:
        fail("calls " + printable(std::string(value(callee).name)) + ", which is no function");
    }
  }

  /// From nothing, or from a list of pairs.
  void push_ordered_dict(const std::vector<uint32_t>& arguments) {
    std::vector<uint32_t> items;
    if (!arguments.empty()) {
      const PickleValue& pairs = value(arguments[0]);
      if (arguments.size() != 1 || pairs.kind != PickleKind::kList) {
        fail("an ordered dictionary that is made from no list");
      }
      // The same list could be copied again and again.
      copied_items_ += pairs.items.size();
      if (copied_items_ > kMaxValues) fail("it holds too many values");
      for (const uint32_t pair : pairs.items) {
        const auto& both = value(pair).items;
        const auto kind = value(pair).kind;
        if ((kind != PickleKind::kList && kind != PickleKind::kTuple) || both.size() != 2) {
          fail("an ordered dictionary that is made from no pairs");
        }
        items.insert(items.end(), both.begin(), both.end());
      }
    }
    push_items(PickleKind::kDict, std::move(items));
  }

  void push_storage(uint32_t place) {
    Pickle& pickle = result();
    const PickledStorage storage = pickled_storage(pickle, place, here());
    push_new(PickleKind::kStorage).integer = static_cast<int64_t>(pickle.storages.size());
    pickle.storages.push_back(storage);
  }

  void push_tensor(PickleRole role, const std::vector<uint32_t>& arguments) {
    Pickle& pickle = result();
    PickledTensor tensor = pickled_tensor(pickle, role, arguments, here());
    if (pickle.tensors.size() >= kMaxTensors) fail("it holds too many tensors");
    push_new(PickleKind::kTensor).integer = static_cast<int64_t>(pickle.tensors.size());
    pickle.tensors.push_back(std::move(tensor));
  }

  size_t copied_items_ = 0;
};

}  // namespace

Pickle read_pickle(std::string_view bytes, const std::string& where) {
  return PickleMachine(bytes, where).run();
}

}  // namespace limewash::models
