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
        const auto began = Clock::now();
        auto last = began;
        for (done_ = 0; done_ < count_;) {
            const double* const rates = rates_.data() + done_ * per_epoch_;
            const Sums sums =
                session_->trainer_->run(epoch_ + done_, 0, {rates, static_cast<std::size_t>(per_epoch_)}, poll);
            const bool whole = sums.steps == per_epoch_;
            session_->trainer_->read(states_[0].epoch(done_));
            if (whole && rows_ > 0) session_->trainer_->logits(X_.data(), rows_, logits(done_));
            const auto now = Clock::now();
            const double measured[] = {
                sums.loss, sums.score, sums.weight, sums.norm, static_cast<double>(sums.steps), seconds_between(last, now)
            };
            std::copy(std::begin(measured), std::end(measured), static_cast<double*>(figures_.data()) + done_ * figures_per_epoch);
            ++done_;
            last = now;
            const bool finite = std::isfinite(sums.loss) && std::isfinite(sums.norm);
            if (!whole || !finite || seconds_between(began, now) >= seconds_) return;
        }
    }

    std::int64_t done() const { return done_; }

  private:
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
};

/// Ends every block that has begun, however a call is left.
struct Begun {
    std::vector<Block*> blocks;
    ~Begun() {
        for (Block* block : blocks) block->end();
    }
};

/// Blocks that threads take one after the other. Only the calling thread asks Python whether to stop.
class BlockQueue {
    using Clock = std::chrono::steady_clock;
    static constexpr auto interval = std::chrono::milliseconds(20);

  public:
    BlockQueue(std::vector<Block*> blocks, StopPoll poll) : blocks_(std::move(blocks)), poll_(poll) {}

    void run(int threads) {
        const auto count = static_cast<int>(std::min<std::size_t>(blocks_.size(), most_threads));
        const int members = std::max(1, std::min({threads, allowed_threads(), count}));
        in_team(members, [](void* self, int id, int) { static_cast<BlockQueue*>(self)->work(id); }, this);
    }

  private:
    void work(int id) {
        StopPoll poll{id == 0 ? ask : look, this};
        for (std::size_t i; (i = next_.fetch_add(1, std::memory_order_relaxed)) < blocks_.size();) {
            if (stopping_.load(std::memory_order_relaxed)) return;
            blocks_[i]->run(poll);
        }
    }

    static bool look(void* context) { return static_cast<BlockQueue*>(context)->stopping_.load(std::memory_order_relaxed); }

    /// Ask after the first step and then every few milliseconds, however many epochs end in between.
    static bool ask(void* context) {
        auto* const self = static_cast<BlockQueue*>(context);
        const auto now = Clock::now();
        if (self->asked_ && now - self->last_ < interval) return look(context);
        self->asked_ = true;
        self->last_ = now;
        if (self->poll_.stop(self->poll_.context)) self->stopping_.store(true, std::memory_order_relaxed);
        return look(context);
    }

    std::vector<Block*> blocks_;
    StopPoll poll_;
    std::atomic<std::size_t> next_{0};
    std::atomic<bool> stopping_{false};
    bool asked_ = false;  // by the calling thread, as is last_
    Clock::time_point last_;
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
        BlockQueue(begun.blocks, {Session::ask_to_stop, &callback}).run(members);
    }
    if (callback.error) std::rethrow_exception(callback.error);
    std::vector<std::int64_t> done;
    for (const Block* block : begun.blocks) done.push_back(block->done());
    return done;
}

}  // namespace chainrule
