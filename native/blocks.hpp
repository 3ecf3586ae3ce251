// Several epochs of one or many trainings in one call, with what each epoch measured and the state it ended with.
// In: sessions and arrays to write into. Out: the arrays filled, epoch by epoch, by as many threads as are wanted.
#pragma once
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "session.hpp"

namespace chainrule {

/// Figures of an epoch: loss, score, weight, norm, steps, seconds.
inline constexpr std::int64_t figures_per_epoch = 6;

/// The next epochs of a training, and the arrays that take what they give; several blocks can run at the same time.
class Block {
    using Clock = std::chrono::steady_clock;

  public:
    /// Arrays have room for as many epochs as `figures` (epochs, 6). X are rows whose logits Z each epoch ends with.
    Block(
        nb::handle session, nb::handle figures, nb::handle w, nb::handle statistics, nb::handle vectors, nb::handle X,
        nb::handle Z
    )
        : kept_(nb::borrow(session)), session_(session_of(session)) {
        figures_ = array_of<Writable>(figures, "figures", nb::dtype<double>(), {any_length, figures_per_epoch});
        epochs_ = static_cast<std::int64_t>(figures_.shape(0));
        states_.emplace_back(*session_, w, statistics, vectors, epochs_);
        states_[0].check_apart();
        X_ = array_of<Array>(X, "X", session_->type_, {any_length, session_->sizes_.inputs});
        rows_ = static_cast<std::int64_t>(X_.shape(0));
        Z_ = array_of<Writable>(Z, "Z", session_->type_, {epochs_, rows_, session_->sizes_.outputs});
        require_apart(X_, Z_, "Z");
    }

    /// Say what runs next: `count` epochs from number `epoch`, with a learning rate for each batch.
    void plan(nb::handle epoch, nb::handle count, nb::handle rates, nb::handle seconds) {
        require(!busy_, "Block", "at rest while it is planned", "one that runs");
        const std::int64_t wanted = whole_number(count, "count", 1, epochs_);
        const std::int64_t first = whole_number(epoch, "epoch", 0, most_epochs - wanted);
        const Array each = array_of<Array>(rates, "rates", nb::dtype<double>(), {any_length});
        const auto given = static_cast<std::int64_t>(each.size());
        const std::int64_t batches = given / wanted;
        const bool whole = given == batches * wanted && batches > 0 && batches <= session_->batches_;
        require(whole, "rates", "as many for each epoch, at most one for each of its batches", given);
        const auto* const values = static_cast<const double*>(each.data());
        for (std::size_t i = 0; i < each.size(); ++i) require_finite(values[i], "rates");
        seconds_ = value_of<double>(seconds, "seconds", "a number");
        rates_.assign(values, values + each.size());
        count_ = wanted;
        epoch_ = first;
        per_epoch_ = batches;
        done_ = 0;
    }

    /// Before a run, by a thread that holds the interpreter's lock; throws BorderFault, also for a block that runs already.
    void begin() {
        require(!busy_, "blocks", "at rest, each given once", "one that runs");
        {
            nb::gil_scoped_release released;
            const std::scoped_lock lock(session_->mutex_);
            session_->read_classes();
        }
        require(!busy_, "blocks", "at rest, each given once", "one that runs");
        busy_ = true;
        done_ = 0;
    }

    /// After a run, by the same thread: nothing is planned any more.
    void end() {
        busy_ = false;
        count_ = 0;
    }

    /// Run until the planned epochs are done, an epoch is cut short or measures numbers that are not finite, or the time is up.
    void run(StopPoll poll) {
        const std::scoped_lock lock(session_->mutex_);
        start();
        while (active()) note(session_->trainer_->run(epoch(), 0, {rates(), static_cast<std::size_t>(per_epoch_)}, poll));
    }

    /// Begin with the first epoch of the plan; the caller holds the session's lock until the last is noted.
    void start() {
        began_ = last_ = Clock::now();
        done_ = 0;
        active_ = count_ > 0;
    }

    /// Whether another epoch is to be run: its number and its rates.
    bool active() const { return active_; }
    std::int64_t epoch() const { return epoch_ + done_; }
    const double* rates() const { return rates_.data() + done_ * per_epoch_; }

    /// Keep what an epoch measured, the state that it ended with, and the logits of the rows that are wanted.
    void note(const Sums& sums) {
        const bool whole = sums.steps == per_epoch_;
        session_->trainer_->read(states_[0].epoch(done_));
        if (whole && rows_ > 0) session_->trainer_->logits(X_.data(), rows_, logits(done_));
        const auto now = Clock::now();
        const double measured[] = {
            sums.loss, sums.score, sums.weight, sums.norm, static_cast<double>(sums.steps), seconds_between(last_, now)
        };
        std::copy(std::begin(measured), std::end(measured), static_cast<double*>(figures_.data()) + done_ * figures_per_epoch);
        ++done_;
        last_ = now;
        const bool finite = std::isfinite(sums.loss) && std::isfinite(sums.norm);
        active_ = whole && finite && done_ < count_ && seconds_between(began_, now) < seconds_;
    }

    std::int64_t done() const { return done_; }

  private:
    friend class BlockGroup;

    static double seconds_between(Clock::time_point from, Clock::time_point to) {
        return std::chrono::duration<double>(to - from).count();
    }

    static Session* session_of(nb::handle given) {
        Session* session = nullptr;
        if (!nb::try_cast<Session*>(given, session) || session == nullptr)
            require(false, "session", "a Session", type_of(given));
        return session;
    }

    void* logits(std::int64_t epoch) const {
        const std::size_t size = static_cast<std::size_t>(rows_ * session_->sizes_.outputs) * Z_.itemsize();
        return static_cast<char*>(Z_.data()) + static_cast<std::size_t>(epoch) * size;
    }

    nb::object kept_;  // keeps the session alive
    Session* session_;
    Writable figures_, Z_;
    Array X_;
    std::vector<Session::StateArrays<Writable>> states_;  // one
    std::int64_t epochs_ = 0, rows_ = 0;
    std::int64_t epoch_ = 0, count_ = 0, per_epoch_ = 0, done_ = 0;
    std::vector<double> rates_;
    double seconds_ = 0;
    bool busy_ = false;  // read and written by threads that hold the interpreter's lock
    bool active_ = false;
    Clock::time_point began_, last_;
};

/// Blocks of one plan whose epochs share the lanes of each vector, or a single block. Made and destroyed by the thread that
/// holds the locks of their sessions; any thread may run it.
class BlockGroup {
  public:
    explicit BlockGroup(std::vector<Block*> blocks) : blocks_(std::move(blocks)) {
        if (blocks_.size() == 1) return;
        std::vector<Trainer*> trainers;
        for (Block* block : blocks_) {
            locks_.emplace_back(block->session_->mutex_);
            trainers.push_back(block->session_->trainer_.get());
        }
        lanes_.reset(blocks_[0]->session_->lanes_->make(trainers));
        epochs_.resize(blocks_.size());
        rates_.resize(blocks_.size());
        sums_.resize(blocks_.size());
    }

    void run(StopPoll poll) {
        if (lanes_ == nullptr) return blocks_[0]->run(poll);
        for (Block* block : blocks_) block->start();
        while (std::ranges::any_of(blocks_, &Block::active)) {
            for (std::size_t i = 0; i < blocks_.size(); ++i) {
                if (!blocks_[i]->active()) continue;  // its lane goes on with its last epoch, which nobody sees
                epochs_[i] = blocks_[i]->epoch();
                rates_[i] = blocks_[i]->rates();
            }
            lanes_->run(epochs_, rates_, blocks_[0]->per_epoch_, poll, sums_);
            for (std::size_t i = 0; i < blocks_.size(); ++i) {
                if (!blocks_[i]->active()) continue;
                lanes_->store(i);
                blocks_[i]->note(sums_[i]);
            }
        }
    }

    /// Whether two blocks can share lanes.
    static bool alike(const Block& one, const Block& other) {
        const Session &a = *one.session_, &b = *other.session_;
        return a.lanes_ == b.lanes_ && one.per_epoch_ == other.per_epoch_ && one.count_ > 0 && other.count_ > 0
               && a.lanes_->alike(*a.trainer_, *b.trainer_);
    }

    /// Divide blocks into groups so that `threads` have work; each block by itself if a session has several.
    static std::vector<std::vector<Block*>> divided(const std::vector<Block*>& blocks, int threads) {
        std::vector<const Session*> sessions;
        for (const Block* block : blocks) sessions.push_back(block->session_);
        std::ranges::sort(sessions);
        const bool apart = std::ranges::adjacent_find(sessions) == sessions.end();
        std::vector<std::vector<Block*>> kinds, groups;
        for (Block* block : blocks) {
            const LaneFactory& lanes = *block->session_->lanes_;
            const bool suits = apart && lanes.suits(*block->session_->trainer_);
            const auto kind = suits ? std::ranges::find_if(kinds, [&](const auto& each) { return alike(*each[0], *block); })
                                    : kinds.end();
            if (kind != kinds.end())
                kind->push_back(block);
            else if (suits)
                kinds.push_back({block});
            else
                groups.push_back({block});
        }
        for (const std::vector<Block*>& kind : kinds) {
            const auto most = static_cast<std::size_t>(kind[0]->session_->lanes_->most);
            const auto shared = (kind.size() + static_cast<std::size_t>(threads) - 1) / static_cast<std::size_t>(threads);
            const std::size_t size = std::min(most, shared);
            for (std::size_t i = 0; i < kind.size(); i += size)
                groups.emplace_back(kind.begin() + static_cast<std::ptrdiff_t>(i), kind.begin() + static_cast<std::ptrdiff_t>(std::min(i + size, kind.size())));
        }
        return groups;
    }

  private:
    std::vector<Block*> blocks_;
    std::vector<std::unique_lock<std::mutex>> locks_;
    std::unique_ptr<LaneGroup> lanes_;
    std::vector<std::int64_t> epochs_;
    std::vector<const double*> rates_;
    std::vector<Sums> sums_;
};

/// Ends every block that has begun, however a call is left.
struct Begun {
    std::vector<Block*> blocks;
    ~Begun() {
        for (Block* block : blocks) block->end();
    }
};

/// Groups of blocks that threads take one after the other. Only the calling thread asks Python whether to stop.
class BlockQueue {
  public:
    BlockQueue(const std::vector<Block*>& blocks, int threads, StopPoll poll)
        : threads_(std::max(1, std::min(threads, allowed_threads()))), clock_(poll) {
        for (std::vector<Block*>& each : BlockGroup::divided(blocks, threads_)) groups_.emplace_back(std::move(each));
    }

    void run() {
        const int count = static_cast<int>(std::min<std::size_t>(groups_.size(), most_threads));
        const int members = std::max(1, std::min(threads_, count));
        in_team(members, [](void* self, int id, int) { static_cast<BlockQueue*>(self)->work(id); }, this);
    }

  private:
    void work(int id) {
        StopPoll poll{id == 0 ? ask : look, this};
        for (std::size_t i; (i = next_.fetch_add(1, std::memory_order_relaxed)) < groups_.size();) {
            if (stopping_.load(std::memory_order_relaxed)) return;
            groups_[i].run(poll);
        }
    }

    static bool look(void* context) { return static_cast<BlockQueue*>(context)->stopping_.load(std::memory_order_relaxed); }

    /// Blocks ask after the first step of each epoch, and epochs may be short: the queue's own clock spares Python most of it.
    static bool ask(void* context) {
        auto* const self = static_cast<BlockQueue*>(context);
        if (self->clock_.stops()) self->stopping_.store(true, std::memory_order_relaxed);
        return look(context);
    }

    std::vector<BlockGroup> groups_;
    int threads_;
    StopClock clock_;  // of the calling thread
    std::atomic<std::size_t> next_{0};
    std::atomic<bool> stopping_{false};
};

/// Run planned blocks on up to `threads` threads; returns the number of epochs that each of them did.
inline std::vector<std::int64_t> run_blocks(nb::handle blocks, nb::handle threads, nb::object stop) {
    const auto kept = value_of<nb::list>(blocks, "blocks", "a list of Block");
    const int members = static_cast<int>(whole_number(threads, "threads", 1, most_threads));
    if (!PyCallable_Check(stop.ptr())) require(false, "stop", "a function", type_of(stop));
    Begun begun;
    for (const nb::handle each : kept) {
        Block* block = nullptr;
        if (!nb::try_cast<Block*>(each, block) || block == nullptr) require(false, "blocks", "a list of Block", type_of(each));
        block->begin();
        begun.blocks.push_back(block);
    }
    Session::StopCallback callback{std::move(stop), nullptr};
    {
        nb::gil_scoped_release released;
        BlockQueue(begun.blocks, members, {Session::ask_to_stop, &callback}).run();
    }
    if (callback.error) std::rethrow_exception(callback.error);
    std::vector<std::int64_t> done;
    for (const Block* block : begun.blocks) done.push_back(block->done());
    return done;
}

}  // namespace chainrule
