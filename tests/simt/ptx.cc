// SPDX-License-Identifier: Apache-2.0
#include "tests/simt/ptx.h"

#include <cctype>
#include <cstdlib>

#include "tests/simt/machine.h"

namespace simt {
namespace {

// Reads the text of an asm statement. It is small: no labels, no jumps.
class Reader {
 public:
  explicit Reader(std::string_view text) : text_(text) {}

  std::vector<Instruction> read() {
    std::vector<Instruction> out;
    for (;;) {
      skip_blanks();
      if (at_end()) return out;
      if (take('{') || take('}') || take(';')) continue;
      if (peek() == '.') {
        read_declaration();
      } else {
        out.push_back(read_instruction());
      }
    }
  }

 private:
  bool at_end() const { return at_ == text_.size(); }
  char peek() const { return at_end() ? '\0' : text_[at_]; }
  bool take(char c) {
    if (peek() != c) return false;
    ++at_;
    return true;
  }
  void skip_blanks() {
    while (std::isspace(static_cast<unsigned char>(peek()))) ++at_;
    if (text_.substr(at_, 2) == "//") {
      while (!at_end() && peek() != '\n') ++at_;
      skip_blanks();
    }
  }
  [[noreturn]] void refuse(const char* expected) const {
    fail("PTX \"" + std::string(text_) + "\": expected " + expected + " at \"" +
         std::string(text_.substr(at_)) + "\"");
  }
  std::string_view word() {
    const size_t start = at_;
    while (std::isalnum(static_cast<unsigned char>(peek())) || peek() == '_' || peek() == '$')
      ++at_;
    return text_.substr(start, at_ - start);
  }

  // .reg .b32 x, y;
  void read_declaration() {
    const size_t end = text_.find(';', at_);
    if (text_.substr(at_, 4) != ".reg" || end == text_.npos) refuse("a .reg");
    at_ += 4;
    skip_blanks();
    if (!take('.')) refuse("a type");
    word();
    do {
      skip_blanks();
      locals_.emplace_back(word());
      skip_blanks();
    } while (take(','));
    if (locals_.size() > std::size(Frame{}.locals)) refuse("fewer registers");
    at_ = end + 1;
  }

  int local(std::string_view name) const {
    for (size_t i = 0; i < locals_.size(); ++i) {
      if (locals_[i] == name) return static_cast<int>(i);
    }
    return -1;
  }

  Instruction read_instruction() {
    Instruction out;
    const size_t start = at_;
    if (take('@')) {
      out.negated = take('!');
      out.predicate = local(word());
      if (out.predicate < 0) refuse("a predicate");
      skip_blanks();
    }
    for (;;) {
      std::string name(word());
      // mbarrier::complete_tx is one word.
      while (text_.substr(at_, 2) == "::") {
        at_ += 2;
        name += "::";
        name += word();
      }
      out.words.push_back(std::move(name));
      if (!take('.')) break;
    }
    if (out.words[0].empty()) refuse("an instruction");
    skip_blanks();
    while (!at_end() && peek() != ';') {
      out.arguments.push_back(read_argument());
      skip_blanks();
      if (!take(',')) break;
    }
    out.text = text_.substr(start, at_ - start);
    if (!take(';')) refuse("a ;");
    out.action = action_of(out);
    return out;
  }

  Argument read_argument() {
    skip_blanks();
    Argument out;
    if (take('{')) {
      out.kind = Argument::Kind::vector;
      do {
        out.parts.push_back(read_argument());
        skip_blanks();
      } while (take(','));
      if (!take('}')) refuse("a }");
    } else if (take('[')) {
      out.kind = Argument::Kind::address;
      out.parts.push_back(read_argument());
      skip_blanks();
      if (take('+')) out.number = read_argument().number;
      skip_blanks();
      if (take(',')) out.parts.push_back(read_argument());
      skip_blanks();
      if (!take(']')) refuse("a ]");
    } else if (text_.substr(at_, 2) == "%%") {
      at_ += 2;
      out.kind = Argument::Kind::special;
      out.name = word();
      while (take('.')) {
        out.name += '.';
        out.name += word();
      }
    } else if (take('%')) {
      out.kind = Argument::Kind::operand;
      out.number = number();
    } else if (std::isdigit(static_cast<unsigned char>(peek())) || peek() == '-') {
      out.kind = Argument::Kind::immediate;
      out.number = number();
    } else {
      const std::string_view name = word();
      out.number = local(name);
      if (name != "_" && out.number < 0) refuse("a register");
      out.kind = name == "_" ? Argument::Kind::sink : Argument::Kind::local;
    }
    return out;
  }

  int64_t number() {
    const std::string rest(text_.substr(at_, 24));
    char* end = nullptr;
    const long long value = std::strtoll(rest.c_str(), &end, 0);
    if (end == rest.c_str()) refuse("a number");
    at_ += static_cast<size_t>(end - rest.c_str());
    while (peek() == 'U' || peek() == 'u') ++at_;
    return value;
  }

  std::string_view text_;
  size_t at_ = 0;
  std::vector<std::string> locals_;
};

uint64_t special_register(const std::string& name) {
  const Thread& thread = current();
  const Cluster& cluster = *thread.block->cluster;
  if (name == "cluster_ctarank") return thread.block->rank;
  if (name == "cluster_nctarank") return cluster.blocks.size();
  if (name == "clusterid.x") return thread.at.block.x / cluster.launch->cluster.x;
  if (name == "nclusterid.x") return cluster.launch->grid.x / cluster.launch->cluster.x;
  if (name == "laneid") return thread.lane;
  if (name == "tid.x") return thread.at.thread.x;
  if (name == "ctaid.x") return thread.at.block.x;
  if (name == "lanemask_lt") return (1u << thread.lane) - 1;
  fail("no emulation of %" + name);
}

}  // namespace

bool Instruction::has(std::string_view word) const {
  for (const std::string& one : words) {
    if (one == word) return true;
  }
  return false;
}

size_t Instruction::type_bytes() const {
  for (size_t i = words.size(); i > 1; --i) {
    const std::string& word = words[i - 1];
    if (word == "pred") return 1;
    if (std::string_view("bsuf").find(word[0]) == std::string_view::npos || word.size() < 2)
      continue;
    const int bits = std::atoi(word.c_str() + 1);
    if (bits >= 8) return static_cast<size_t>(bits / 8);
  }
  return 4;
}

char Instruction::type_letter() const {
  for (size_t i = words.size(); i > 1; --i) {
    const std::string& word = words[i - 1];
    if (word.size() >= 2 && std::isdigit(static_cast<unsigned char>(word[1]))) return word[0];
  }
  return 'b';
}

uint64_t Frame::get(const Argument& argument) const {
  switch (argument.kind) {
    case Argument::Kind::operand:
      return operands[argument.number].bits;
    case Argument::Kind::local:
      return locals[argument.number];
    case Argument::Kind::immediate:
      return static_cast<uint64_t>(argument.number);
    case Argument::Kind::special:
      return special_register(argument.name);
    case Argument::Kind::address:
      return get(argument.parts[0]) + static_cast<uint64_t>(argument.number);
    default:
      fail("PTX \"" + instruction->text + "\": a number was expected");
  }
}

void Frame::set(const Argument& argument, uint64_t bits) {
  switch (argument.kind) {
    case Argument::Kind::operand: {
      Operand& operand = operands[argument.number];
      if (!operand.place) fail("PTX \"" + instruction->text + "\": writes to an input");
      std::memcpy(operand.place, &bits, operand.size_bytes);
      operand.bits = bits;
      return;
    }
    case Argument::Kind::local:
      locals[argument.number] = bits;
      return;
    case Argument::Kind::sink:
      return;
    default:
      fail("PTX \"" + instruction->text + "\": a register was expected");
  }
}

Action action_of(const Instruction& instruction) {
  for (const auto family :
       {scalar_action, warp_action, barrier_action, copy_action, product_action}) {
    if (Action action = family(instruction)) return action;
  }
  fail("no emulation of \"" + instruction.text + "\"");
}

class Program {
 public:
  explicit Program(std::string_view text) : instructions_(Reader(text).read()) {}

  void run(Operand* operands) const {
    Frame frame{nullptr, operands, {}};
    for (const Instruction& instruction : instructions_) {
      if (instruction.predicate >= 0 &&
          (frame.locals[instruction.predicate] != 0) == instruction.negated) {
        continue;
      }
      frame.instruction = &instruction;
      instruction.action(frame);
    }
  }

 private:
  std::vector<Instruction> instructions_;
};

Assembly::~Assembly() {
  delete program_;
}

void Assembly::run(Operand* operands) const {
  if (!program_) program_ = new Program(text_);
  program_->run(operands);
}

}  // namespace simt
