// SPDX-License-Identifier: Apache-2.0
// Asks the demo model about each picture of its eval folder, and counts how often it answers as the same
// weights did under PyTorch, and how often truly. Prints a table by kind of picture.
//
//   pictures_eval MODEL [--device NAME] [--least-equal N] [--true-answers N --within M]
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <vector>

#include "minimax.h"

namespace {

void check(minimax_status status) {
  if (status != MINIMAX_OK) throw std::runtime_error(minimax_last_error());
}

struct Options {
  std::string model;
  std::string device = "cpu";
  int least_equal = 0;
  int true_answers = -1;
  int within = 0;
};

struct Count {
  int pictures = 0, equal = 0, right = 0, right_under_torch = 0;
};

int32_t gather(void* user, const char* text, size_t size) {
  static_cast<std::string*>(user)->append(text, size);
  return 0;
}

// One engine and session for all questions.
class Asker {
 public:
  Asker(const Options& options) {
    minimax_engine_options engine_options;
    minimax_engine_options_init(&engine_options, sizeof engine_options);
    const char* devices[] = {options.device.c_str()};
    engine_options.devices = devices;
    engine_options.device_count = 1;
    check(minimax_engine_open(options.model.c_str(), &engine_options, &engine_));
    check(minimax_session_create(engine_, nullptr, &session_));
    check(minimax_prompt_create(engine_, &prompt_));
  }
  ~Asker() {
    minimax_prompt_free(prompt_);
    minimax_session_free(session_);
    minimax_engine_free(engine_);
  }
  Asker(const Asker&) = delete;
  Asker& operator=(const Asker&) = delete;

  std::string ask(const std::string& picture, const std::string& question, int64_t planned_rows) {
    minimax_image* image = nullptr;
    check(minimax_image_from_file(picture.c_str(), &image));
    const std::unique_ptr<minimax_image, void (*)(minimax_image*)> owner(image, minimax_image_free);
    check_plan(image, planned_rows);
    check(minimax_session_reset(session_));
    check(minimax_prompt_clear(prompt_));
    check(minimax_prompt_add_image(prompt_, image));
    check(minimax_prompt_add_message(prompt_, MINIMAX_ROLE_USER, nullptr, question.data(),
                                     question.size()));
    check(minimax_prompt_begin_reply(prompt_));
    check(minimax_session_feed_prompt(session_, prompt_, nullptr));
    std::string answer;
    minimax_generate_options options;
    minimax_generate_options_init(&options, sizeof options);
    options.max_tokens = 64;
    options.on_text = gather;
    options.user = &answer;
    check(minimax_session_generate(session_, nullptr, &options, nullptr));
    return answer;
  }

 private:
  void check_plan(const minimax_image* image, int64_t expected) const {
    int64_t width = 0, height = 0;
    check(minimax_image_size(image, &width, &height));
    minimax_tile_plan plan;
    minimax_tile_plan_init(&plan, sizeof plan);
    check(minimax_image_plan(engine_, width, height, &plan));
    if (plan.token_count != expected) {
      throw std::runtime_error("planned " + std::to_string(plan.token_count) + " rows, expected " +
                               std::to_string(expected));
    }
  }

  minimax_engine* engine_ = nullptr;
  minimax_session* session_ = nullptr;
  minimax_prompt* prompt_ = nullptr;
};

Options parse(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    const auto value = [&] {
      if (++i >= argc) throw std::runtime_error(word + " needs a value");
      return std::string(argv[i]);
    };
    if (word == "--device") {
      options.device = value();
    } else if (word == "--least-equal") {
      options.least_equal = std::stoi(value());
    } else if (word == "--true-answers") {
      options.true_answers = std::stoi(value());
    } else if (word == "--within") {
      options.within = std::stoi(value());
    } else {
      options.model = word;
    }
  }
  if (options.model.empty()) throw std::runtime_error("usage: pictures_eval MODEL [options]");
  return options;
}

// "scene" of "pictures/000_scene.png".
std::string kind_of(const std::string& picture) {
  const size_t start = picture.find('_') + 1;
  return picture.substr(start, picture.find('.') - start);
}

void show_row(const std::string& name, const Count& count) {
  std::printf("%-10s %8d %17d %12d %19d\n", name.c_str(), count.pictures, count.equal, count.right,
              count.right_under_torch);
}

int run(const Options& options) {
  Asker asker(options);
  std::ifstream lines(options.model + "/eval/pictures.jsonl");
  std::map<std::string, Count> counts;
  Count all;
  for (std::string line; std::getline(lines, line);) {
    const nlohmann::json item = nlohmann::json::parse(line);
    const std::string picture = item["picture"], expected = item["torch_answer"];
    const std::string answer = asker.ask(options.model + "/eval/" + picture, item["question"],
                                         item["rows"].get<int64_t>());
    if (answer != expected) {
      std::printf("%s: \"%s\", under PyTorch \"%s\"\n", picture.c_str(), answer.c_str(),
                  expected.c_str());
    }
    for (Count* count : {&counts[kind_of(picture)], &all}) {
      count->pictures += 1;
      count->equal += answer == expected ? 1 : 0;
      count->right += answer == item["answer"] ? 1 : 0;
      count->right_under_torch += expected == item["answer"] ? 1 : 0;
    }
  }
  std::printf("%-10s %8s %17s %12s %19s\n", "kind", "pictures", "equal to PyTorch", "true",
              "true under PyTorch");
  for (const auto& [kind, count] : counts) show_row(kind, count);
  show_row("all", all);
  const bool is_equal = all.equal >= options.least_equal;
  const bool is_true =
      options.true_answers < 0 || std::abs(all.right - options.true_answers) <= options.within;
  return all.pictures > 0 && is_equal && is_true ? EXIT_SUCCESS : EXIT_FAILURE;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(parse(argc, argv));
  } catch (const std::exception& error) {
    std::fprintf(stderr, "pictures_eval: %s\n", error.what());
    return EXIT_FAILURE;
  }
}
