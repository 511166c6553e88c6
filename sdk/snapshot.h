// SPDX-License-Identifier: Apache-2.0
// A mark that can be moved: it lies with its engine, in host memory or in a file.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <mutex>

#include "base/byte_stream.h"
#include "sdk/session.h"

namespace minimax {

enum class SnapshotHome { device, host, file };

// Where a snapshot's numbers are, and how many bytes they take there.
struct SnapshotFacts {
  SnapshotHome home;
  int64_t position;
  uint64_t image_count;
  uint64_t state_bytes, kv_bytes;  // on the device, where they may be shared
  uint64_t moved_bytes;            // elsewhere
};

// Any thread; moves of one snapshot wait for each other, everything else goes on with what there was before.
class Snapshot {
 public:
  explicit Snapshot(std::shared_ptr<const SessionMark> mark);

  SnapshotFacts facts() const;
  // As minimax_session_return_to: a moved one is read into the session and stays where it is.
  void give_to(Session& session) const;
  // As minimax_snapshot_move.
  void move(SnapshotHome home, const std::filesystem::path& folder);

 private:
  // Either a mark or a saved session. Immutable.
  struct Kept {
    std::shared_ptr<Model> model;
    TimelineShape shape;
    SnapshotFacts facts;
    std::shared_ptr<const SessionMark> mark;
    std::shared_ptr<const ByteSource> saved;
  };
  static Kept kept(std::shared_ptr<const SessionMark> mark);
  static SessionParts load(const Kept& moved);
  static void write(const Kept& from, ByteSink& sink);

  std::shared_ptr<const Kept> now() const;

  mutable std::mutex mutex_;  // of what there is
  std::mutex move_mutex_;     // of whoever moves it
  std::shared_ptr<const Kept> kept_;
};

}  // namespace minimax
