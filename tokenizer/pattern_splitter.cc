// SPDX-License-Identifier: Apache-2.0
#include "tokenizer/pattern_splitter.h"

#include <algorithm>
#include <cstdint>
#include <new>
#include <utility>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "base/error.h"
#include "tokenizer/utf8.h"

namespace minimax {
namespace {

constexpr size_t pattern_limit_bytes = 64 * 1024;
// Steps of backtracking that a search may take: enough for one long match, too few for a pattern
// whose time grows exponentially.
constexpr uint32_t match_limit_base = 1'000'000;
constexpr size_t match_limit_per_byte = 16;
constexpr uint32_t heap_limit_kib = 64 * 1024;
constexpr std::string_view replacement = "\xef\xbf\xbd";  // U+FFFD

struct FreeCode {
  void operator()(pcre2_code* code) const { pcre2_code_free(code); }
};
struct FreeContext {
  void operator()(pcre2_match_context* context) const { pcre2_match_context_free(context); }
};
struct FreeData {
  void operator()(pcre2_match_data* data) const { pcre2_match_data_free(data); }
};

std::string error_text(int code) {
  PCRE2_UCHAR buffer[256] = {};
  pcre2_get_error_message(code, buffer, sizeof buffer);
  return reinterpret_cast<const char*>(buffer);
}

// Rewrites a pattern for PCRE2. The two dialects agree on everything that passes, but for \s, which
// in PCRE2 has U+180E in it.
class Translator {
 public:
  Translator(std::string_view pattern, std::string_view source)
      : pattern_(pattern), source_(source) {}

  std::string translate() {
    while (at_ < pattern_.size()) step();
    return std::move(out_);
  }

 private:
  void step() {
    const char c = pattern_[at_];
    if (c == '\\') return escape();
    if (c == '[') {
      if (in_class_) refuse("a class within a class");
      in_class_ = true;
    } else if (c == ']') {
      in_class_ = false;
    } else if (in_class_) {
      if (starts_with("&&")) refuse("&&");
    } else if (c == '(') {
      group();
    } else if (starts_with("}+")) {
      refuse("}+");
    }
    copy(1);
  }

  void group() const {
    if (starts_with("(*")) refuse("(*");
    if (!starts_with("(?")) return;
    for (const char* known : {"(?:", "(?i:", "(?=", "(?!", "(?<=", "(?<!", "(?>"}) {
      if (starts_with(known)) return;
    }
    refuse(pattern_.substr(at_, 3));
  }

  void escape() {
    if (at_ + 1 >= pattern_.size()) return copy(1);  // PCRE2 says what is wrong
    const char c = pattern_[at_ + 1];
    if (c == 's' || c == 'S') {
      out_ += c == 's' ? "\\p{White_Space}" : "\\P{White_Space}";
      at_ += 2;
      return;
    }
    const bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    const bool is_digit = c >= '0' && c <= '9';
    const bool is_known = std::string_view("pPdDrntfx").find(c) != std::string_view::npos;
    if (is_digit || (is_letter && !is_known)) refuse(pattern_.substr(at_, 2));
    copy(2);
    // What stands in braces belongs to the escape: \p{L}+ repeats a class, a{2}+ would not.
    if (is_letter && starts_with("{")) {
      copy(std::min(pattern_.find('}', at_), pattern_.size() - 1) + 1 - at_);
    }
  }

  bool starts_with(std::string_view text) const { return pattern_.substr(at_).starts_with(text); }
  void copy(size_t count) {
    out_ += pattern_.substr(at_, count);
    at_ += count;
  }
  [[noreturn]] void refuse(std::string_view what) const {
    fail(MINIMAX_UNSUPPORTED, source_, ": the pattern has ", what, " at byte ", at_,
         ", which this library does not read");
  }

  std::string_view pattern_;
  std::string_view source_;
  std::string out_;
  size_t at_ = 0;
  bool in_class_ = false;
};

// The text with U+FFFD for every byte that is not UTF-8, and where those bytes were.
struct Repaired {
  std::string text;
  std::vector<size_t> places;
};

Repaired repair(std::string_view text) {
  Repaired repaired;
  const char* const end = text.data() + text.size();
  for (const char* at = text.data(); at < end;) {
    const CodePoint point = decode_utf8(at, end);
    if (point.value == not_a_character) {
      repaired.places.push_back(static_cast<size_t>(at - text.data()));
      repaired.text += replacement;
    } else {
      repaired.text.append(at, point.size);
    }
    at += point.size;
  }
  return repaired;
}

bool is_utf8(std::string_view text) {
  const char* const end = text.data() + text.size();
  for (const char* at = text.data(); at < end;) {
    const CodePoint point = decode_utf8(at, end);
    if (point.value == not_a_character) return false;
    at += point.size;
  }
  return true;
}

// One search after another in one text.
class Search {
 public:
  Search(const pcre2_code* code, std::string_view text, const std::string& source)
      : code_(code),
        text_(text),
        source_(source),
        context_(pcre2_match_context_create(nullptr)),
        data_(pcre2_match_data_create_from_pattern(code, nullptr)) {
    if (!context_ || !data_) fail(MINIMAX_OUT_OF_MEMORY, "no memory to match a pattern");
    const size_t limit = match_limit_base + match_limit_per_byte * text.size();
    pcre2_set_match_limit(context_.get(), static_cast<uint32_t>(std::min<size_t>(limit, ~0u)));
    pcre2_set_heap_limit(context_.get(), heap_limit_kib);
  }

  // The first match that begins at `from` or later; an empty one at the end when there is none.
  std::pair<size_t, size_t> find(size_t from) const {
    int found = match(from, PCRE2_NO_UTF_CHECK);
    if (found == PCRE2_ERROR_JIT_STACKLIMIT) found = match(from, PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT);
    if (found == PCRE2_ERROR_NOMATCH) return {text_.size(), text_.size()};
    if (found == PCRE2_ERROR_NOMEMORY) throw std::bad_alloc();
    if (found < 0) {
      fail(MINIMAX_UNSUPPORTED, source_, ": the pattern gives up on this text at byte ", from, ": ",
           error_text(found));
    }
    const PCRE2_SIZE* offsets = pcre2_get_ovector_pointer(data_.get());
    return {offsets[0], offsets[1]};
  }

 private:
  int match(size_t from, uint32_t options) const {
    return pcre2_match(code_, reinterpret_cast<PCRE2_SPTR>(text_.data()), text_.size(), from,
                       options, data_.get(), context_.get());
  }

  const pcre2_code* code_;
  std::string_view text_;
  const std::string& source_;
  std::unique_ptr<pcre2_match_context, FreeContext> context_;
  std::unique_ptr<pcre2_match_data, FreeData> data_;
};

}  // namespace

struct PatternSplitter::Matcher {
  std::unique_ptr<pcre2_code, FreeCode> code;

  Matcher(std::string_view pattern, std::string_view source) {
    int error = 0;
    PCRE2_SIZE place = 0;
    code.reset(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(),
                             PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C,
                             &error, &place, nullptr));
    if (!code && error == PCRE2_ERROR_HEAP_FAILED) throw std::bad_alloc();
    require_file(code != nullptr, source, ": the pattern is wrong near byte ", place, ": ",
                 error_text(error));
    // Without memory for it or on a processor it does not know, PCRE2 interprets.
    pcre2_jit_compile(code.get(), PCRE2_JIT_COMPLETE);
  }
};

PatternSplitter::PatternSplitter(std::string_view pattern, std::string source)
    : source_(std::move(source)) {
  require_file(pattern.size() <= pattern_limit_bytes, source_, ": the pattern has ", pattern.size(),
               " bytes, at most ", pattern_limit_bytes, " are read");
  require_file(is_utf8(pattern), source_, ": the pattern is not UTF-8");
  matcher_ = std::make_unique<const Matcher>(Translator(pattern, source_).translate(), source_);
}

PatternSplitter::~PatternSplitter() = default;

void PatternSplitter::split(std::string_view text, std::vector<size_t>& ends) const {
  if (is_utf8(text)) return split_valid(text, ends);
  const Repaired repaired = repair(text);
  const size_t first = ends.size();
  split_valid(repaired.text, ends);
  const size_t growth = replacement.size() - 1;  // of the text by each repaired byte
  size_t passed = 0;
  for (size_t i = first; i < ends.size(); ++i) {
    while (passed < repaired.places.size() && repaired.places[passed] + passed * growth < ends[i]) {
      ++passed;
    }
    ends[i] -= passed * growth;
  }
}

void PatternSplitter::split_valid(std::string_view text, std::vector<size_t>& ends) const {
  const Search search(matcher_->code.get(), text, source_);
  size_t done = 0;  // end of the last piece
  size_t from = 0;
  while (done < text.size()) {
    const auto [start, stop] = search.find(from);
    if (start > done) ends.push_back(start);
    if (stop > start) ends.push_back(stop);
    done = std::max({done, start, stop});
    from = done;
    if (stop == start && from < text.size()) {
      from += decode_utf8(text.data() + from, text.data() + text.size()).size;
    }
  }
}

std::string PatternSplitter::escape(std::string_view literal) {
  std::string out;
  for (const char c : literal) {
    if (std::string_view("\\^$.[]|()?*+{}").find(c) != std::string_view::npos) out += '\\';
    out += c;
  }
  return out;
}

}  // namespace minimax
