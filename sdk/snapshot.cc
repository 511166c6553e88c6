// SPDX-License-Identifier: Apache-2.0
#include "sdk/snapshot.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "base/file_stream.h"
#include "base/memory_stream.h"
#include "sdk/session_file.h"

namespace minimax {
namespace {

// The bytes themselves: what is damaged there is found where they arrive, before the old ones go.
void copy_all(const ByteSource& from, ByteSink& sink) {
  constexpr uint64_t piece_bytes = uint64_t{1} << 20;
  const std::unique_ptr<ByteSource> source = from.part(0);
  std::vector<std::byte> piece(piece_bytes);
  for (uint64_t left = *source->size_bytes(); left > 0; left -= std::min(left, piece_bytes)) {
    const auto bytes = std::span(piece).first(static_cast<size_t>(std::min(left, piece_bytes)));
    source->read(bytes);
    sink.write(bytes);
  }
}

}  // namespace

Snapshot::Snapshot(std::shared_ptr<const SessionMark> mark)
    : kept_(std::make_shared<const Kept>(kept(std::move(mark)))) {
}

Snapshot::Kept Snapshot::kept(std::shared_ptr<const SessionMark> mark) {
  const TimelineMark& timeline = *mark->timeline;
  SnapshotFacts facts{
      SnapshotHome::device,
      static_cast<int64_t>(timeline.tokens.size()),
      mark->pictures.size(),
      timeline.lightning->states.size_bytes() + timeline.lightning->logs.size_bytes(),
      timeline.pages.size_bytes(),
      0};
  return {mark->model, timeline.shape, facts, std::move(mark), nullptr};
}

std::shared_ptr<const Snapshot::Kept> Snapshot::now() const {
  const std::lock_guard lock(mutex_);
  return kept_;
}

SnapshotFacts Snapshot::facts() const {
  return now()->facts;
}

SessionParts Snapshot::load(const Kept& moved) {
  const std::unique_ptr<ByteSource> source = moved.saved->part(0);
  return load_session(moved.model, *source, SavedSamplerWanted::no).session;
}

void Snapshot::give_to(Session& session) const {
  const std::shared_ptr<const Kept> kept = now();
  session.require_own(kept->model);
  session.require_like(kept->shape);
  if (kept->mark) {
    session.return_to(*kept->mark);
  } else {
    session.return_to(load(*kept));
  }
}

void Snapshot::write(const Kept& from, ByteSink& sink) {
  if (from.saved) return copy_all(*from.saved, sink);
  const Session session(*from.mark);
  save_session(session, nullptr, sink);
}

void Snapshot::move(SnapshotHome home, const std::filesystem::path& folder) {
  const std::lock_guard moving(move_mutex_);
  const std::shared_ptr<const Kept> before = now();
  const bool is_host = before->model->engine().memory_is_host();
  if (is_host && home == SnapshotHome::host) home = SnapshotHome::device;
  if (home == before->facts.home && home != SnapshotHome::file) return;
  Kept after;
  if (home == SnapshotHome::device) {
    after = kept(Session(load(*before)).mark());
  } else {
    after = {before->model, before->shape, before->facts, nullptr, nullptr};
    if (home == SnapshotHome::file) {
      NamelessSink sink(folder);
      write(*before, sink);
      after.saved = sink.read_back();
    } else {
      MemorySink sink;
      write(*before, sink);
      after.saved = std::make_shared<MemorySource>(std::move(sink.bytes), "a moved snapshot");
    }
    if (before->saved) check_session(*after.saved->part(0));
    after.facts.home = home;
    after.facts.state_bytes = after.facts.kv_bytes = 0;
    after.facts.moved_bytes = *after.saved->size_bytes();
  }
  auto made = std::make_shared<const Kept>(std::move(after));
  const std::lock_guard lock(mutex_);
  kept_.swap(made);
}

}  // namespace minimax
