// SPDX-License-Identifier: Apache-2.0
// Encodes documents on request and says how long it took: one side of tokenizer_bench.py.
//
//   tokenizer_bench MODEL_FOLDER DOCUMENTS
//
// DOCUMENTS: each document's size in bytes as decimal digits and a line break, then its bytes. Reads
// commands from standard input: "time" prints wall and processor seconds and the number of ids, "ids"
// prints all ids of each document in a line.
#include <chrono>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <string>
#include <vector>

#include "base/error.h"
#include "tokenizer/tokenizer.h"

namespace {

using minimax::SpecialTokens;
using minimax::Tokenizer;

std::vector<std::string> read_documents(const char* path) {
  std::ifstream file(path, std::ios::binary);
  std::vector<std::string> documents;
  for (size_t size = 0; file >> size;) {
    file.get();
    std::string document(size, '\0');
    file.read(document.data(), static_cast<std::streamsize>(size));
    documents.push_back(std::move(document));
  }
  return documents;
}

double processor_seconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

void print_time(const Tokenizer& tokenizer, const std::vector<std::string>& documents) {
  const auto wall = std::chrono::steady_clock::now();
  const double processor = processor_seconds();
  size_t count = 0;
  for (const std::string& document : documents) {
    std::vector<int32_t> ids;  // a new one each time, as a caller has
    tokenizer.encode(document, SpecialTokens::match, ids);
    count += ids.size();
  }
  const double processor_used = processor_seconds() - processor;
  const std::chrono::duration<double> wall_used = std::chrono::steady_clock::now() - wall;
  std::cout << wall_used.count() << ' ' << processor_used << ' ' << count << std::endl;
}

void print_ids(const Tokenizer& tokenizer, const std::vector<std::string>& documents) {
  for (const std::string& document : documents) {
    std::vector<int32_t> ids;
    tokenizer.encode(document, SpecialTokens::match, ids);
    for (const int32_t id : ids) std::cout << id << ' ';
    std::cout << '\n';
  }
  std::cout << std::flush;
}

}  // namespace

int main(int argc, char** argv) try {
  if (argc != 3) {
    std::cerr << "usage: tokenizer_bench MODEL_FOLDER DOCUMENTS\n";
    return 2;
  }
  const auto tokenizer = Tokenizer::load(argv[1]);
  if (!tokenizer) {
    std::cerr << argv[1] << " has no tokenizer\n";
    return 1;
  }
  const std::vector<std::string> documents = read_documents(argv[2]);
  for (std::string command; std::cin >> command;) {
    if (command == "time") print_time(*tokenizer, documents);
    if (command == "ids") print_ids(*tokenizer, documents);
  }
  return 0;
} catch (const minimax::Error& error) {
  std::cerr << error.message() << '\n';
  return 1;
}
