/* broker.c - the loop, see broker.h.
 *
 * A turn takes at most TURN_MESSAGES messages or TURN_NS, whatever is more pressing: what has come
 * in meanwhile is in the sockets' queues, and their bounds push back on the peers. Look-ups that
 * the core asked for are answered in the same turn, in portions. */
#include "broker/care/care.h"
#include "broker/care/guard.h"
#include "broker/checkpoint.h"
#include "broker/handlers/import.h"
#include "broker/net/strangers.h"

#include "common/clock.h"
#include "common/fs.h"
#include "common/log.h"
#include "common/pure/mem.h"
#include "version.h"

#include <errno.h>
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>
#include <zmq.h>

#define SHARED_SYNC_NS                                                                   \
	300000 /* how long a lone early-granted batch waits for its result */
#define UNSEALED_NS (3650ull * 86400 * NS_PER_S) /* batches_orphans() is about clients */
#define LEDGER_BACKLOG (256ull << 20) /* bytes not yet on disk at which we stop reading */

void broker_fail(struct broker *b, const char *what, const struct err *e)
{
	if (b->stop)
		return;
	log_error(what, "why=%s next=%s", e ? e->what : "", e ? e->next : "");
	b->exit_code = ERR_FAILED;
	b->stop = true;
}

void broker_drain(struct broker *b, uint64_t deadline_ns, const char *why)
{
	if (deadline_ns < b->drain_deadline_ns)
		b->drain_deadline_ns = deadline_ns;
	if (b->draining)
		return;
	b->draining = true;
	log_info("draining", "why=%s", why);
	struct core_event event = {.type = CORE_EV_DRAIN};
	broker_step(b, &event);
}

void broker_wake(struct broker *b)
{
	uint64_t one = 1;
	ssize_t written = write(b->wake_fd, &one, sizeof one);
	(void)written; /* full means that it is awake already */
}

void broker_stop(struct broker *b)
{
	__atomic_store_n(&b->stop_asked, true, __ATOMIC_RELEASE);
	broker_wake(b);
}

/* ---- what came from the disk ---- */

static void take_durable(struct broker *b)
{
	if (!b->ledger_moved)
		return;
	uint64_t durable = ledger_durable(b->ledger);
	struct err why = {0};
	enum ledger_state state = ledger_state(b->ledger, &why);
	if (state == LEDGER_BROKEN) {
		broker_fail(b, "the journal cannot be written: stopping", &why);
		return;
	}
	b->ledger_full = state == LEDGER_FULL;
	/* Turns behind the last one that recorded anything are as durable as that one. */
	if (durable >= b->handed_step) {
		durable = b->step - 1;
		b->commit_durable = b->commit_last;
	}
	if (durable <= b->durable)
		return;
	b->durable = durable;
	outbox_release(b, durable);
}

static void tell_durable(struct broker *b)
{
	if (b->durable <= b->durable_told || b->stop)
		return;
	b->durable_told = b->durable;
	struct core_event event = {.type = CORE_EV_DURABLE, .durable = b->durable};
	broker_step(b, &event);
}

static void hold(struct broker *b, bool on)
{
	if (b->holding == on)
		return;
	b->holding = on;
	if (on)
		log_error("disk full: no new work is taken or granted",
			  "free=%llu next=\"%s\"", (unsigned long long)b->free_bytes,
			  BLOBS_FULL_NEXT);
	else
		log_info("disk has room again", "free=%llu",
			 (unsigned long long)b->free_bytes);
	struct core_event event = {.type = CORE_EV_HOLD, .hold = on};
	broker_step(b, &event);
}

/* What a large batch took is given back once it is over, and not only to malloc(). Asked each idle
 * second: 1, 4, 16 of them after it, since the threads that write the index are done later. */
static void give_back(struct broker *b)
{
	if (!b->batch_was_large || b->batches.by_id.count || b->outbox.count) {
		b->idle_seconds = 0;
		return;
	}
	unsigned seconds = ++b->idle_seconds;
	if (seconds == 1 || seconds == 4 || seconds == 16) {
		ledger_trim_readers(b->ledger);
		malloc_trim(0);
	}
	if (seconds == 16)
		b->batch_was_large = false;
}

static void each_second(struct broker *b)
{
	if (b->now < b->next_second_ns)
		return;
	b->next_second_ns = b->now + NS_PER_S;
	if (fs_free_bytes(b->store, &b->free_bytes))
		b->free_bytes = 0;
	batches_orphans(b);
	batches_stuck(b);
	strangers_count(b);
	relays_sweep(b);
	files_watch(b);
	checkpoints_sweep(b);
	listen_watch_descriptors(b);
	listen_restore(b);
	give_back(b);
	if (b->options->is_private && store_vanished(b)) {
		log_info("the store's directory is gone: ending", "store=%s", b->store);
		b->stop = true;
	}
}

/* ---- signals ---- */

static void take_signals(struct broker *b)
{
	struct signalfd_siginfo info;
	while (b->signal_fd >= 0 &&
	       read(b->signal_fd, &info, sizeof info) == sizeof info) {
		if (info.ssi_signo == SIGCHLD)
			continue; /* life_check() looks */
		if (b->terms++) {
			broker_drain(b, b->now, "second signal");
			continue;
		}
		uint64_t timeout = b->options->drain_timeout_ns;
		broker_drain(b, timeout == TIME_NEVER ? TIME_NEVER : b->now + timeout,
			     info.ssi_signo == SIGINT ? "SIGINT" : "SIGTERM");
	}
}

static int open_signals(struct broker *b, struct err *e)
{
	b->signal_fd = -1;
	b->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (b->wake_fd < 0)
		return err_set(e, ERR_FAILED, "eventfd: %s", strerror(errno));
	if (b->options->quiet)
		return 0;
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGCHLD);
	/* Before any thread exists, so that all inherit the mask. */
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	b->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (b->signal_fd < 0)
		return err_set(e, ERR_FAILED, "signalfd: %s", strerror(errno));
	return 0;
}

/* ---- one turn ---- */

static void take_messages(struct broker *b)
{
	unsigned taken = 0;
	uint64_t until = b->now + TURN_NS;
	bool more = true;
	while (more && taken < TURN_MESSAGES && !b->stop) {
		more = false;
		for (unsigned i = 0; i < b->control_count; i++) {
			struct wire_frame frame;
			if (!b->controls[i].hot)
				continue;
			int rc = wire_recv(b->controls[i].router, true, &frame);
			b->controls[i].hot = rc != 1;
			if (rc == 1)
				continue;
			more = true;
			taken++;
			if (rc == 2) {
				peer_refuse(
					b, i, &frame, 0, ERR_USAGE,
					"a message of a shape that cashet never sends",
					NULL);
				continue;
			}
			dispatch(b, i, &frame);
			wire_frame_fini(&frame);
			wire_arena_reset(&b->arena);
		}
		if (more && clock_mono_ns() >= until)
			break;
	}
}

static void timers(struct broker *b)
{
	peers_sweep(b);
	each_second(b);
	hold(b, b->ledger_full || b->free_bytes < FREE_BYTES_MIN);
	if (core_deadline(b->core) <= b->now) {
		struct core_event event = {.type = CORE_EV_TIME};
		broker_step(b, &event);
	}
}

static void end_turn(struct broker *b)
{
	if (b->stop && b->exit_code)
		return; /* broken: nothing more may leave */
	/* Files come and go without records too: they are counted after a second then. */
	if (ledger_turn_empty(b->turn) && b->now - b->counted_ns >= NS_PER_S) {
		b->counted_ns = b->now;
		files_hand_in(b);
	}
	bool empty = ledger_turn_empty(b->turn);
	/* What waits for an empty turn waits for the last one that was not. */
	uint64_t hold_step = empty ? b->handed_step : b->step;
	workers_flush(b, hold_step);
	watch_flush(b);
	if (empty) {
		if (b->durable >= b->handed_step) {
			b->durable = b->step;
			outbox_release(b, b->durable);
		}
		return;
	}
	/* A small batch and nothing else: its result is under way, or was a hit and has just
	 * been told; either way the disk would only take the processor from it. */
	files_hand_in(b);
	if (b->turn_only_early && b->turn_small)
		ledger_turn_may_wait(b->turn, SHARED_SYNC_NS);
	b->handed_step = b->step;
	ledger_hand_in(b->ledger, b->turn, b->step);
	b->turn = ledger_turn_new(b->ledger);
}

static void look_at_store(struct broker *b)
{
	int error = __atomic_load_n(&b->store_error, __ATOMIC_ACQUIRE);
	if (!error)
		return;
	struct err e = {0};
	err_set(&e, ERR_FAILED, "objects/: %s", strerror(error < 0 ? -error : error));
	broker_fail(b, "blobs cannot be made durable: stopping", &e);
}

static void turn(struct broker *b)
{
	b->step++;
	b->turn_only_early = true;
	b->turn_small = false;
	take_durable(b);
	look_at_store(b);
	if (b->stop)
		return;
	tell_durable(b);
	take_signals(b);
	query_take_answers(b);
	care_turn(b);
	if (ledger_queued_bytes(b->ledger) < LEDGER_BACKLOG)
		take_messages(b);
	retries_run(b);
	workers_gone(b);
	timers(b);
	lookups_run(b, b->now + 2 * TURN_NS);
	workers_gone(b);
	workers_send_early(b);
	end_turn(b);
	life_check(b);
	struct core_totals totals;
	core_view_totals(b->core, &totals);
	if (b->draining &&
	    (b->now >= b->drain_deadline_ns || (!totals.running && !b->outbox.count))) {
		log_info("drained", "running=%llu", (unsigned long long)totals.running);
		b->stop = true;
	}
}

static uint64_t next_deadline(struct broker *b)
{
	uint64_t at = core_deadline(b->core);
	const uint64_t others[] = {b->peers.next_sweep_ns, b->next_second_ns,
				   watch_deadline(b), b->drain_deadline_ns,
				   life_deadline(b)};
	for (size_t i = 0; i < ARRAY_LEN(others); i++)
		at = others[i] < at ? others[i] : at;
	return at;
}

/* A silent descriptor means nothing after a send; the socket has to be asked. */
static bool has_messages(struct control *c)
{
	int events = 0;
	size_t size = sizeof events;
	if (!c->hot)
		return false;
	zmq_getsockopt(c->router, ZMQ_EVENTS, &events, &size);
	c->hot = events & ZMQ_POLLIN;
	return c->hot;
}

static void wait(struct broker *b)
{
	struct pollfd fds[SOCKET_MAX + 3] = {
		{.fd = ledger_fd(b->ledger), .events = POLLIN},
		{.fd = b->wake_fd, .events = POLLIN},
		{.fd = b->signal_fd, .events = POLLIN}};
	enum { LEDGER, WAKE, SIGNAL, CONTROLS };
	bool listening = ledger_queued_bytes(b->ledger) < LEDGER_BACKLOG;
	bool busy = lookup_pending(b) || retries_pending(b);
	unsigned controls = listening ? b->control_count : 0;
	for (unsigned i = 0; i < controls; i++) {
		busy |= has_messages(&b->controls[i]);
		fds[CONTROLS + i] =
			(struct pollfd){.fd = b->controls[i].fd, .events = POLLIN};
	}
	struct timespec timeout = {0};
	if (!busy) {
		uint64_t now = clock_mono_ns(), at = next_deadline(b);
		uint64_t ns = at > now ? at - now : 0;
		ns = ns > NS_PER_S ? NS_PER_S : ns;
		timeout = (struct timespec){.tv_sec = (time_t)(ns / NS_PER_S),
					    .tv_nsec = (long)(ns % NS_PER_S)};
	}
	ppoll(fds, CONTROLS + controls, &timeout, NULL);
	uint64_t unused;
	if (fds[WAKE].revents && read(b->wake_fd, &unused, sizeof unused) < 0)
		assert(errno == EAGAIN);
	b->ledger_moved = fds[LEDGER].revents;
	b->signalled = fds[SIGNAL].revents;
	for (unsigned i = 0; i < controls; i++)
		b->controls[i].hot |= fds[CONTROLS + i].revents != 0;
	b->now = clock_mono_ns();
}

int broker_run(struct broker *b)
{
	while (!b->stop) {
		wait(b);
		if (__atomic_load_n(&b->stop_asked, __ATOMIC_ACQUIRE))
			b->stop = true;
		else
			turn(b);
	}
	return b->exit_code;
}

/* ---- from nothing to ready, and back ---- */

static int open_ledger(struct broker *b, struct err *e)
{
	int rc = cas_open_dir(&b->cas, b->store, e);
	if (!rc)
		rc = ledger_open(&b->ledger, b->store, &b->info, e);
	if (!rc)
		rc = ledger_reader_open(&b->reader, b->ledger, b->store, e);
	if (rc)
		return rc;
	rc = files_init(b);
	if (rc)
		return err_set(e, ERR_FAILED, "the store cannot be read: %s",
			       strerror(-rc));
	b->pager.reader = b->reader;
	b->turn = ledger_turn_new(b->ledger);
	b->commit_last = b->commit_durable = b->info.next_commit - 1;
	b->batches.next_number = b->info.next_batch;
	struct core_config config = {.boot = b->info.boot,
				     .next_commit = b->info.next_commit,
				     .unsealed_ns = UNSEALED_NS};
	memcpy(config.mac_key, b->info.mac_key, sizeof config.mac_key);
	b->core = core_new(&config);
	return 0;
}

int broker_open(struct broker **bp, const struct options *options, struct err *e)
{
	struct broker *b = mem_alloc(sizeof *b);
	b->options = options;
	b->lock_fd = b->signal_fd = b->wake_fd = -1;
	b->drain_deadline_ns = TIME_NEVER;
	b->now = b->started_ns = clock_mono_ns();
	map_seed();
	peers_init(b);
	batches_init(b);
	workers_init(b);
	report_init(b);
	checkpoints_init(b);
	wire_arena_init(&b->arena);
	int rc = listen_raise_limits(b, e);
	if (!rc)
		rc = open_signals(b, e);
	if (!rc)
		rc = store_open(b, e);
	if (!rc)
		rc = open_ledger(b, e);
	if (!rc) {
		presence_init(b);
		guard_init(b);
		known_init(b);
		rc = recover(b, e);
	}
	if (!rc)
		rc = query_start(b, e);
	if (!rc)
		rc = care_start(b, e);
	if (!rc)
		rc = listen_open(b, e);
	if (!rc)
		rc = life_start(b, e);
	if (rc) {
		broker_free(b);
		return rc;
	}
	log_info("broker ready", "version=%s store=%s boot=%llu pid=%d", CASHET_VERSION,
		 b->store, (unsigned long long)b->info.boot, (int)getpid());
	*bp = b;
	return 0;
}

void broker_free(struct broker *b)
{
	if (!b)
		return;
	if (b->stop && !b->exit_code)
		store_mark_end(b);
	life_fini(b);
	care_stop(b);
	query_stop(b);
	listen_close(b); /* sockets are unlinked while the lock is held */
	retries_fini(b);
	relays_fini(b);
	outbox_fini(b);
	workers_fini(b);
	peers_fini(b);
	batches_fini(b);
	if (b->turn && b->cas)
		files_hand_in(b);
	if (b->turn) /* what was decided may be recorded; nobody was told */
		ledger_hand_in(b->ledger, b->turn, b->step + 1);
	ledger_reader_close(b->reader);
	ledger_close(b->ledger);
	cas_free(b->cas);
	core_effects_fini(&b->effects);
	core_free(b->core);
	lookup_fini(b);
	presence_fini(b);
	guard_fini(b);
	known_fini(b);
	report_fini(b);
	checkpoints_fini(b);
	import_fini(b);
	pager_fini(&b->pager);
	chunk_scratch_free();
	buf_fini(&b->scratch);
	buf_fini(&b->packed);
	wire_arena_fini(&b->arena);
	store_close(b);
	if (b->signal_fd >= 0)
		close(b->signal_fd);
	if (b->wake_fd >= 0)
		close(b->wake_fd);
	free(b);
}
