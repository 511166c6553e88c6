// SPDX-License-Identifier: Apache-2.0
// Who has a session or a sampler now: its owner, or a batch until one of its tickets ends.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string_view>

#include "base/error.h"

namespace minimax {

// Whoever things are lent to.
class Borrower {
 public:
  virtual ~Borrower() = default;
  // Returns when whatever was lent for the ticket has been given back. Any thread.
  virtual void withdraw(uint64_t ticket) noexcept = 0;
};

// The owner's thread lends; any thread may give back, and only it uses the thing until then.
class Loan {
 public:
  Loan() = default;
  Loan(const Loan&) = delete;
  Loan& operator=(const Loan&) = delete;

  // MINIMAX_NOT_AVAILABLE while it is lent. thing: "the session".
  void require_home(std::string_view thing) const {
    refuse(thing, ticket_.load(std::memory_order_acquire));
  }
  // ticket above 0. Refuses as require_home().
  void lend(std::string_view thing, uint64_t ticket, std::weak_ptr<Borrower> borrower) {
    uint64_t at_home = 0;
    if (!ticket_.compare_exchange_strong(at_home, ticket)) refuse(thing, at_home);
    borrower_ = std::move(borrower);
  }
  void give_back() noexcept { ticket_.store(0, std::memory_order_release); }

  // Before the thing ends: waits until the borrower has let go.
  void withdraw() noexcept {
    const uint64_t ticket = ticket_.load(std::memory_order_acquire);
    if (ticket == 0) return;
    // A borrower that is gone gave everything back before.
    if (const auto borrower = borrower_.lock()) borrower->withdraw(ticket);
  }

 private:
  static void refuse(std::string_view thing, uint64_t ticket) {
    if (ticket == 0) return;
    fail(MINIMAX_NOT_AVAILABLE, thing, " is in a batch until ticket ", ticket, " ends");
  }

  std::atomic<uint64_t> ticket_{0};  // 0: at home
  std::weak_ptr<Borrower> borrower_;
};

}  // namespace minimax
