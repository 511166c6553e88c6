// SPDX-License-Identifier: Apache-2.0
// Mistaken calls with what makes sessions last: marks, batches and files.
#include <gtest/gtest.h>

#include <algorithm>
#include <climits>
#include <cstring>

#include "refusal.h"

namespace minimax::testing {
namespace {

const Statuses invalid = {MINIMAX_INVALID_ARGUMENT};
const Statuses not_available = {MINIMAX_NOT_AVAILABLE};
const Statuses not_found = {MINIMAX_NOT_FOUND};
const Statuses unsupported = {MINIMAX_UNSUPPORTED};
const Statuses wrong_model = {MINIMAX_WRONG_MODEL};
const Statuses bad_file = {MINIMAX_BAD_FILE};

void expect_ok(minimax_status status) {
  EXPECT_EQ(status, MINIMAX_OK) << minimax_last_error();
}

minimax_engine* engine() {
  return Witness::get().engine();
}
minimax_session* session() {
  return Witness::get().session();
}

// A session with a sampler on an engine, made for one call.
class Guest {
 public:
  explicit Guest(minimax_engine* host, int32_t rewind_tokens = 0) {
    minimax_session_options options;
    minimax_session_options_init(&options, sizeof options);
    options.rewind_tokens = rewind_tokens;
    expect_ok(minimax_session_create(host, &options, &session));
    expect_ok(minimax_sampler_create(host, nullptr, &sampler));
    expect_ok(minimax_prompt_create(host, &prompt));
    expect_ok(minimax_session_feed(session, some_tokens(5).data(), 5));
  }
  ~Guest() {
    minimax_snapshot_free(snapshot);
    minimax_session_free(session);
    minimax_sampler_free(sampler);
    minimax_prompt_free(prompt);
  }
  Guest(const Guest&) = delete;
  Guest& operator=(const Guest&) = delete;

  const minimax_snapshot* mark() {
    expect_ok(minimax_session_mark(session, &snapshot));
    return snapshot;
  }

  minimax_session* session = nullptr;
  minimax_sampler* sampler = nullptr;
  minimax_prompt* prompt = nullptr;
  minimax_snapshot* snapshot = nullptr;
};

// A model of the same configuration with another weight.
minimax_engine* stranger() {
  static minimax_engine* const opened = [] {
    const ScratchFolder folder;
    TinyModel model;
    model.tensors[0].data[1] ^= 1;
    model.tensors[0].data[2] ^= 64;
    model.write(folder.path());
    minimax_engine* other = nullptr;
    expect_ok(minimax_engine_open(folder.path().c_str(), nullptr, &other));
    return other;
  }();
  return opened;
}

// Marks: with a guest on the witness's engine, or on another.
CallCase with_guest(std::string name, std::function<minimax_status(Guest& guest)> call, Words words,
                    Statuses statuses = invalid) {
  return {std::move(name),
          [call] {
            Guest guest(engine());
            return call(guest);
          },
          std::move(statuses), std::move(words)};
}

CallCase rewind_by(std::string name, int64_t token_count, Words words,
                   Statuses statuses = invalid) {
  return {std::move(name), [=] { return minimax_session_rewind(session(), token_count); },
          std::move(statuses), std::move(words)};
}

CallCase with_rewind_tokens(std::string name, int32_t rewind_tokens) {
  return {std::move(name),
          [=] {
            minimax_session_options options;
            minimax_session_options_init(&options, sizeof options);
            options.rewind_tokens = rewind_tokens;
            minimax_session* made = untouched<minimax_session>();
            const minimax_status status = minimax_session_create(engine(), &options, &made);
            EXPECT_EQ(made, untouched<minimax_session>());
            return status;
          },
          invalid,
          {"rewind_tokens", std::to_string(rewind_tokens)}};
}

// Nothing can be taken back of a session that keeps no log.
minimax_status rewind_what_is_folded(Guest&) {
  Guest forgetful(engine(), -1);
  expect_ok(minimax_session_feed(forgetful.session, some_tokens(70).data(), 70));
  return minimax_session_rewind(forgetful.session, 30);
}

std::vector<CallCase> mark_cases() {
  return {
      rewind_by("RewoundByLessThanNothing", -1, {"token_count", "-1"}),
      rewind_by("RewoundByTheSmallestNumber", INT64_MIN, {"-9223372036854775808"}),
      rewind_by("RewoundByMoreThanThereIs", 41, {"41", "40"}),
      rewind_by("RewoundByTheLargestNumber", INT64_MAX, {"9223372036854775807"}),
      with_guest("RewoundBeforeTheFloor", rewind_what_is_folded, {"rewind_tokens"}, not_available),
      with_rewind_tokens("SessionThatGoesBackLessThanNothing", -2),
      with_rewind_tokens("SessionThatGoesBackTooFar", 4097),
      with_rewind_tokens("SessionThatGoesBackToTheEndOfNumbers", INT_MAX),
      with_guest("ReturnToNothing",
                 [](Guest& guest) { return minimax_session_return_to(guest.session, nullptr); },
                 {"snapshot"}),
      {"ReturnToAMarkOfAnotherEngine",
       [] {
         Guest other(stranger());
         return minimax_session_return_to(session(), other.mark());
       },
       wrong_model,
       {"another engine"}},
      {"ReturnToAMarkOfAnotherLog",
       [] {
         Guest other(engine(), 100);
         return minimax_session_return_to(session(), other.mark());
       },
       unsupported,
       {"rewind_tokens", "100", "32"}},
      {"ReturnToAMarkOfNoLog",
       [] {
         Guest other(engine(), -1);
         return minimax_session_return_to(session(), other.mark());
       },
       unsupported,
       {"rewind_tokens"}},
  };
}

// A batch with a request that can be made worse.
struct Request {
  Request() {
    minimax_batch_options options;
    minimax_batch_options_init(&options, sizeof options);
    expect_ok(minimax_batch_create(engine(), &options, &batch));
    minimax_batch_request_init(&request, sizeof request);
    minimax_generate_options_init(&generate, sizeof generate);
    generate.max_tokens = 3;
    request.tokens = tokens;
    request.token_count = 2;
    request.generate = &generate;
  }
  ~Request() { minimax_batch_free(batch); }
  Request(const Request&) = delete;
  Request& operator=(const Request&) = delete;

  minimax_status submit(minimax_session* to) {
    uint64_t ticket = 777;
    const minimax_status status = minimax_batch_submit(batch, to, &request, &ticket);
    EXPECT_EQ(ticket == 777, status != MINIMAX_OK);
    return status;
  }

  int32_t tokens[2] = {5, 6};
  minimax_generate_options generate;
  minimax_batch_request request;
  minimax_batch* batch = nullptr;
};

// Refused with the guest where it was, who can be submitted afterwards.
CallCase with_request(std::string name, std::function<void(Request& made, Guest& guest)> worsen,
                      Words words, Statuses statuses = invalid) {
  return with_guest(
      std::move(name),
      [worsen](Guest& guest) {
        Request bad, good;
        worsen(bad, guest);
        const minimax_status status = bad.submit(guest.session);
        const std::string sentence = minimax_last_error();
        expect_ok(good.submit(guest.session));
        minimax_session_free(guest.session);  // lent
        guest.session = nullptr;
        // For who looks at the sentence: the same refusal once more.
        Guest again(engine());
        EXPECT_EQ((worsen(bad, again), bad.submit(again.session)), status);
        EXPECT_EQ(minimax_last_error(), sentence);
        return status;
      },
      std::move(words), std::move(statuses));
}

CallCase with_batch_options(std::string name, std::function<void(minimax_batch_options& made)> set,
                            Words words) {
  return {std::move(name),
          [set] {
            minimax_batch_options options;
            minimax_batch_options_init(&options, sizeof options);
            set(options);
            minimax_batch* made = untouched<minimax_batch>();
            const minimax_status status = minimax_batch_create(engine(), &options, &made);
            EXPECT_EQ(made, untouched<minimax_batch>());
            return status;
          },
          invalid, std::move(words)};
}

CallCase cancelled_ticket(std::string name, uint64_t ticket) {
  return {std::move(name),
          [ticket] {
            const Request made;
            return minimax_batch_cancel(made.batch, ticket);
          },
          not_found,
          {std::to_string(ticket)}};
}

// Ended by a cancel, and then cancelled again.
minimax_status cancel_twice(Guest& guest) {
  Request made;
  uint64_t ticket = 0;
  expect_ok(minimax_batch_submit(made.batch, guest.session, &made.request, &ticket));
  expect_ok(minimax_batch_cancel(made.batch, ticket));
  return minimax_batch_cancel(made.batch, ticket);
}

// What may not be done with a session that is in a batch.
CallCase while_lent(std::string name, std::function<minimax_status(Guest& guest)> call) {
  return with_guest(
      std::move(name),
      [call](Guest& guest) {
        Request made;
        made.request.sampler = guest.sampler;
        expect_ok(made.submit(guest.session));
        const minimax_status status = call(guest);
        const std::string sentence = minimax_last_error();
        EXPECT_NE(sentence.find("ticket"), std::string::npos) << sentence;
        return status;  // the end of the batch sets no sentence
      },
      {"is in a batch until ticket"}, not_available);
}

std::vector<CallCase> batch_cases() {
  const minimax_text_fn on_text = [](void*, const char*, size_t) { return 0; };
  const minimax_token_fn on_token = [](void*, int32_t) { return 0; };
  const minimax_write_fn write = [](void*, const void*, size_t) { return 0; };
  return {
      with_batch_options("BatchOfAnotherThread", [](auto& made) { made.own_thread = 2; },
                         {"own_thread", "2"}),
      with_batch_options("BatchOfNegativeSessions", [](auto& made) { made.session_limit = -1; },
                         {"session_limit", "-1"}),
      with_batch_options("BatchOfTooManySessions", [](auto& made) { made.session_limit = 1025; },
                         {"session_limit", "1025"}),
      with_batch_options("BatchOfMoreSessionsThanTokens",
                         [](auto& made) { made.step_tokens = 8, made.session_limit = 9; },
                         {"session_limit", "9", "8"}),
      with_batch_options("BatchOfNegativeSteps", [](auto& made) { made.step_tokens = -1; },
                         {"step_tokens", "-1"}),
      with_batch_options("BatchOfStepsWithoutEnd", [](auto& made) { made.step_tokens = INT64_MAX; },
                         {"step_tokens", "9223372036854775807"}),
      with_request("RequestOfANegativeToken", [](auto& made, auto&) { made.tokens[1] = -1; },
                   {"tokens[1]", "-1"}),
      with_request("RequestOfATokenPastTheVocabulary",
                   [](auto& made, auto&) { made.tokens[0] = 272; }, {"tokens[0]", "272"}),
      with_request("RequestOfTokensThatAreNotThere",
                   [](auto& made, auto&) { made.request.tokens = nullptr; },
                   {"tokens is NULL", "2"}),
      with_request("RequestOfNoTokensToFeed",
                   [](auto& made, auto&) {
                     made.request.token_count = 0;
                     made.request.generate = nullptr;
                     made.request.feeds_only = 1;
                   },
                   {"feeds_only"}),
      with_request("RequestThatFeedsAndAnswers",
                   [](auto& made, auto&) { made.request.feeds_only = 1; },
                   {"feeds_only", "generate"}),
      with_request("RequestThatFeedsAndSamples",
                   [](auto& made, auto& guest) {
                     made.request.feeds_only = 1;
                     made.request.generate = nullptr;
                     made.request.sampler = guest.sampler;
                   },
                   {"feeds_only", "sampler"}),
      with_request("RequestThatFeedsPerhaps",
                   [](auto& made, auto&) { made.request.feeds_only = -1; }, {"feeds_only", "-1"}),
      with_request("RequestOfAnEmptyPrompt",
                   [](auto& made, auto& guest) {
                     made.request.tokens = nullptr;
                     made.request.token_count = 0;
                     made.request.prompt = guest.prompt;
                   },
                   {"prompt is empty"}),
      with_request("RequestOfAPromptAndTokens",
                   [](auto& made, auto& guest) { made.request.prompt = guest.prompt; },
                   {"prompt", "tokens"}),
      with_request("RequestFromTheMiddleOfNoPrompt",
                   [](auto& made, auto&) { made.request.prompt_first_token = 1; },
                   {"prompt_first_token", "1"}),
      with_request("RequestOfNegativeLength",
                   [](auto& made, auto&) { made.generate.max_tokens = -1; }, {"max_tokens", "-1"}),
      with_request("RequestThatIgnoresPerhaps",
                   [](auto& made, auto&) { made.generate.ignore_stop_token = 7; },
                   {"ignore_stop_token", "7"}),
      with_request("RequestOfTooMuchPriority",
                   [](auto& made, auto&) { made.request.priority = MINIMAX_PRIORITY_HIGHEST + 1; },
                   {"priority", "101"}),
      with_request("RequestOfTheSmallestPriority",
                   [](auto& made, auto&) { made.request.priority = INT_MIN; },
                   {"priority", "-2147483648"}),
      with_request(
          "RequestThatCallsWithText",
          [on_text](auto& made, auto&) { made.generate.on_text = on_text; }, {"on_text"},
          unsupported),
      with_request(
          "RequestThatCallsWithTokens",
          [on_token](auto& made, auto&) { made.generate.on_token = on_token; }, {"on_token"},
          unsupported),
      {"RequestOfASessionOfAnotherEngine",
       [] {
         Guest other(stranger());
         return Request().submit(other.session);
       },
       wrong_model,
       {"session", "another engine"}},
      {"RequestOfASamplerOfAnotherEngine",
       [] {
         Guest other(stranger());
         Request made;
         made.request.sampler = other.sampler;
         return made.submit(session());
       },
       wrong_model,
       {"sampler", "another engine"}},
      {"RequestOfAPromptOfAnotherEngine",
       [] {
         Guest other(stranger());
         Request made;
         made.request.tokens = nullptr;
         made.request.token_count = 0;
         made.request.prompt = other.prompt;
         return made.submit(session());
       },
       wrong_model,
       {"prompt", "another engine"}},
      with_guest(
          "RequestToAnswerNothing",
          [](Guest& guest) {
            expect_ok(minimax_session_reset(guest.session));
            Request made;
            made.request.tokens = nullptr;
            made.request.token_count = 0;
            return made.submit(guest.session);
          },
          {"empty"}, not_available),
      with_guest(
          "RequestWithALentSampler",
          [](Guest& guest) {
            Guest second(engine());
            Request made;
            made.request.sampler = guest.sampler;
            expect_ok(made.submit(guest.session));
            const minimax_status status = made.submit(second.session);
            Request other;
            expect_ok(other.submit(second.session));  // is at home
            EXPECT_EQ(made.submit(second.session), status);
            return status;
          },
          {"in a batch until ticket"}, not_available),
      while_lent("LentAndSubmittedAgain",
                 [](Guest& guest) { return Request().submit(guest.session); }),
      while_lent("LentAndFed",
                 [](Guest& guest) {
                   return minimax_session_feed(guest.session, some_tokens(1).data(), 1);
                 }),
      while_lent("LentAndRewound",
                 [](Guest& guest) { return minimax_session_rewind(guest.session, 1); }),
      while_lent("LentAndMarked",
                 [](Guest& guest) { return minimax_session_mark(guest.session, &guest.snapshot); }),
      while_lent("LentAndForked",
                 [](Guest& guest) {
                   minimax_session* fork = untouched<minimax_session>();
                   return minimax_session_fork(guest.session, &fork);
                 }),
      while_lent("LentAndReset", [](Guest& guest) { return minimax_session_reset(guest.session); }),
      while_lent("LentAndSaved",
                 [write](Guest& guest) {
                   return minimax_session_save_to(guest.session, write, nullptr, nullptr);
                 }),
      while_lent("LentAndGenerating",
                 [](Guest& guest) {
                   return minimax_session_generate(guest.session, nullptr, nullptr, nullptr);
                 }),
      while_lent("SamplerLentAndSampling",
                 [](Guest& guest) {
                   int32_t token = -7;
                   return minimax_sampler_sample(guest.sampler, session(), &token);
                 }),
      while_lent("SamplerLentAndReset",
                 [](Guest& guest) { return minimax_sampler_reset(guest.sampler); }),
      with_guest("StepOfNegativeTime",
                 [](Guest&) { return minimax_batch_step(Request().batch, -2); },
                 {"timeout_ms", "-2"}),
      with_guest("StepOfTheSmallestTime",
                 [](Guest&) { return minimax_batch_step(Request().batch, INT64_MIN); },
                 {"timeout_ms"}),
      cancelled_ticket("TicketThatWasNeverGiven", 1),
      cancelled_ticket("TicketZero", 0),
      cancelled_ticket("TicketOfTheLargestNumber", UINT64_MAX),
      with_guest("TicketThatHasEnded", cancel_twice, {"ticket", "has ended"}, not_found),
  };
}

// Gives the bytes of a saved session, and worse.
struct Reader {
  enum class Manner { honest, gives_up, gives_too_much };

  std::string bytes;
  Manner manner = Manner::honest;
  size_t at = 0;

  static int32_t read(void* user, void* to, size_t size, size_t* out_size) {
    auto& reader = *static_cast<Reader*>(user);
    const size_t count = std::min(size, reader.bytes.size() - reader.at);
    std::memcpy(to, reader.bytes.data() + reader.at, count);
    reader.at += count;
    *out_size = reader.manner == Manner::gives_too_much ? size + 1 : count;
    return reader.manner == Manner::gives_up && reader.at > 200 ? 9 : 0;
  }
};

std::string saved(const minimax_session* of) {
  std::string bytes;
  const minimax_write_fn write = [](void* user, const void* more, size_t size) {
    static_cast<std::string*>(user)->append(static_cast<const char*>(more), size);
    return 0;
  };
  expect_ok(minimax_session_save_to(of, write, &bytes, nullptr));
  return bytes;
}

minimax_status load_from(Reader reader, minimax_engine* into = engine(),
                         minimax_sampler* sampler = nullptr) {
  minimax_session_load_options options;
  minimax_session_load_options_init(&options, sizeof options);
  options.sampler = sampler;
  minimax_session* loaded = untouched<minimax_session>();
  const minimax_status status =
      minimax_session_load_from(into, &Reader::read, &reader, &options, &loaded);
  EXPECT_EQ(loaded, untouched<minimax_session>());
  return status;
}

CallCase loaded_from_path(std::string name, std::string path, Words words, Statuses statuses) {
  return {std::move(name),
          [path] {
            minimax_session* loaded = untouched<minimax_session>();
            const minimax_status status =
                minimax_session_load(engine(), path.c_str(), nullptr, &loaded);
            EXPECT_EQ(loaded, untouched<minimax_session>());
            return status;
          },
          std::move(statuses), std::move(words)};
}

CallCase saved_to_path(std::string name, std::string path, Words words, Statuses statuses) {
  return {std::move(name),
          [path] { return minimax_session_save(session(), path.c_str(), nullptr); },
          std::move(statuses), std::move(words)};
}

std::vector<CallCase> session_file_cases() {
  return {
      saved_to_path("SavedIntoNoFolder", "no/such/folder/a.session", {"no/such/folder"}, not_found),
      saved_to_path("SavedOverAFolder", "/", {"/"},
                    {MINIMAX_IO_ERROR, MINIMAX_NOT_FOUND, MINIMAX_INVALID_ARGUMENT}),
      saved_to_path("SavedUnderNoName", "", {"path \"\"", "names no file"}, invalid),
      saved_to_path("SavedUnderALongName", std::string(100000, 's'), {"sss"},
                    {MINIMAX_IO_ERROR, MINIMAX_NOT_FOUND}),
      {"SavedByACallbackThatGivesUp",
       [] {
         const minimax_write_fn write = [](void*, const void*, size_t) { return 9; };
         return minimax_session_save_to(session(), write, nullptr, nullptr);
       },
       {MINIMAX_IO_ERROR},
       {"write callback", "9"}},
      {"SavedWithASamplerOfAnotherEngine",
       [] {
         Guest other(stranger());
         minimax_session_save_options options;
         minimax_session_save_options_init(&options, sizeof options);
         options.sampler = other.sampler;
         const minimax_write_fn write = [](void*, const void*, size_t) { return 0; };
         return minimax_session_save_to(session(), write, nullptr, &options);
       },
       wrong_model,
       {"sampler", "another engine"}},
      loaded_from_path("LoadedFromNowhere", "no/such\nfile\xff", {"no/such"}, not_found),
      loaded_from_path("LoadedFromAFolder", "/", {"/"}, {MINIMAX_IO_ERROR, MINIMAX_BAD_FILE}),
      loaded_from_path("LoadedFromAnEmptyFile", "/dev/null", {"/dev/null"},
                       {MINIMAX_BAD_FILE, MINIMAX_IO_ERROR}),
      loaded_from_path("LoadedFromAFileWithoutEnd", "/dev/zero", {"/dev/zero"},
                       {MINIMAX_BAD_FILE, MINIMAX_IO_ERROR}),
      loaded_from_path("LoadedFromOtherBytes", MINIMAX_SOURCE_DIR "/LICENSE", {"LICENSE"},
                       bad_file),
      {"LoadedByACallbackThatGivesUp",
       [] {
         return load_from({saved(session()), Reader::Manner::gives_up});
       },
       {MINIMAX_IO_ERROR},
       {"read callback", "9"}},
      {"LoadedByACallbackThatGivesTooMuch",
       [] {
         return load_from({saved(session()), Reader::Manner::gives_too_much});
       },
       invalid,
       {"read callback"}},
      {"LoadedFromNothing", [] { return load_from({}); }, bad_file, {"ends after 0 bytes"}},
      {"LoadedFromHalf",
       [] {
         std::string bytes = saved(session());
         bytes.resize(bytes.size() / 2);
         return load_from({bytes});
       },
       bad_file,
       {"ends after"}},
      {"LoadedFromALaterVersion",
       [] {
         std::string bytes = saved(session());
         ++bytes[8];
         return load_from({bytes});
       },
       unsupported,
       {"version"}},
      {"LoadedWithOtherWeights",
       [] { return load_from({saved(session())}, stranger()); },
       wrong_model,
       {"other weights"}},
      {"LoadedWithoutTheSamplerThatIsWanted",
       [] {
         Guest guest(engine());
         return load_from({saved(session())}, engine(), guest.sampler);
       },
       not_available,
       {"without a sampler"}},
      {"LoadedIntoASamplerOfAnotherEngine",
       [] {
         Guest other(stranger());
         return load_from({saved(session())}, engine(), other.sampler);
       },
       wrong_model,
       {"sampler", "another engine"}},
      {"FileInfoOfOtherBytes",
       [] {
         minimax_session_file_info info;
         minimax_session_file_info_init(&info, sizeof info);
         info.position = 777;
         const minimax_status status =
             minimax_get_session_file_info(MINIMAX_SOURCE_DIR "/LICENSE", &info);
         EXPECT_EQ(info.position, 777);
         return status;
       },
       bad_file,
       {"LICENSE"}},
  };
}

}  // namespace

std::vector<CallCase> lasting_session_cases() {
  std::vector<CallCase> cases = mark_cases();
  for (const auto& more : {batch_cases(), session_file_cases()}) {
    cases.insert(cases.end(), more.begin(), more.end());
  }
  return cases;
}

}  // namespace minimax::testing
