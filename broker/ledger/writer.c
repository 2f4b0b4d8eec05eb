/* writer.c - the thread that owns meta.db: it takes all turns that are queued, makes one transaction
 * of them, and tells the loop when that is on disk. While it waits for the disk the next group
 * grows, so the cost of a sync is shared by as many turns as the load asks for.
 *
 *   idle -> group -> (held open, if all its turns may wait) -> commit -> gap -> tell the loop
 *                          no room: rolled back, tried again every 500 ms (FULL)
 *                          anything else: BROKEN, turns are dropped from now on
 *
 * It checkpoints too: a step of a few MiB at a time, on its own connection, in idle moments rather
 * than between two groups. */
#include "broker/ledger/impl.h"

#include "common/clock.h"
#include "common/log.h"

#include <inttypes.h>
#include <string.h>
#include <sys/prctl.h>

#define GROUP_BYTES (4u << 20)
#define RETRY_NS (500 * NS_PER_MS)
#define IDLE_NS (200 * NS_PER_MS)
#define CHORES_IDLE_NS NS_PER_S
#define CHORES_RETRY_NS (10 * NS_PER_S)
#define IDLE_PAGES 256	/* 2 MiB in the log: moved when nothing happens */
#define BUSY_PAGES 2048 /* 16 MiB: moved between two groups */

struct group {
	struct ledger_turn *first, **last;
	size_t bytes;
	uint64_t step;
	uint64_t hold_until; /* 0: commit at once */
	bool open;	     /* a transaction has begun */
};

static void group_init(struct group *g)
{
	*g = (struct group){.hold_until = TIME_NEVER};
	g->last = &g->first;
}

/* wait_work() - with the lock. Return: false when the deadline has passed. */
static bool wait_work(struct ledger *l, uint64_t deadline)
{
	if (deadline == TIME_NEVER) {
		pthread_cond_wait(&l->work, &l->lock);
		return true;
	}
	struct timespec t = {(time_t)(deadline / NS_PER_S), (long)(deadline % NS_PER_S)};
	return pthread_cond_timedwait(&l->work, &l->lock, &t) == 0;
}

/* take_turns() - move turns from the queue to the group, up to its size. With the lock.
 * Return: the first of them, or NULL. */
static struct ledger_turn *take_turns(struct ledger *l, struct group *g)
{
	struct ledger_turn **from = g->last;
	while (l->first && g->bytes < GROUP_BYTES) {
		struct ledger_turn *t = l->first;
		l->first = t->next;
		if (!l->first)
			l->last = &l->first;
		t->next = NULL;
		*g->last = t;
		g->last = &t->next;
		g->bytes += t->bytes;
		g->step = t->step;
		if (t->hold_until < g->hold_until)
			g->hold_until = t->hold_until;
	}
	return *from;
}

static int apply(struct ledger *l, struct group *g, const struct ledger_turn *t)
{
	for (; t; t = t->next) {
		if (ledger_turn_empty(t))
			continue;
		if (!g->open) {
			int rc = journal_begin(&l->journal);
			if (rc != SQLITE_OK)
				return rc;
			g->open = true;
		}
		int rc = journal_apply(&l->journal, t);
		if (rc != SQLITE_OK)
			return rc;
	}
	return SQLITE_OK;
}

/* hold() - keep the group open for turns that are about to come, as long as all in it may wait.
 * Their records are applied as they come, so only the sync is left to do afterwards. */
static int hold(struct ledger *l, struct group *g)
{
	int rc = SQLITE_OK;
	while (rc == SQLITE_OK && g->open && g->bytes < GROUP_BYTES &&
	       clock_mono_ns() < g->hold_until) {
		pthread_mutex_lock(&l->lock);
		while (!l->first && !l->closing && wait_work(l, g->hold_until))
			;
		const struct ledger_turn *t = take_turns(l, g);
		bool closing = l->closing;
		pthread_mutex_unlock(&l->lock);
		rc = apply(l, g, t);
		if (closing)
			break;
	}
	return rc;
}

static void describe(struct ledger *l, int rc, const char *what, struct err *e)
{
	CLEANUP_BUF struct buf why = {0};
	db_describe(&why, l->journal.db, rc);
	err_set(e, ERR_FAILED, "cannot %s %s/meta.db: %s", what, l->dir, buf_cstr(&why));
}

/* wait_for_room() - Return: false if the ledger is closing. */
static bool wait_for_room(struct ledger *l)
{
	uint64_t until = clock_mono_ns() + RETRY_NS;
	pthread_mutex_lock(&l->lock);
	while (!l->closing && wait_work(l, until))
		;
	bool closing = l->closing;
	pthread_mutex_unlock(&l->lock);
	return !closing;
}

/* last_try() - the ledger is closing on a full disk. */
static int last_try(struct ledger *l, struct group *g)
{
	int rc = apply(l, g, g->first);
	if (rc == SQLITE_OK)
		rc = journal_commit(&l->journal);
	if (rc == SQLITE_OK)
		return 0;
	journal_rollback(&l->journal);
	log_error("ledger closed without room", "lost_bytes=%" PRIu64,
		  atomic_load(&l->queued_bytes));
	return 1;
}

/* checkpoint() - Return: false if the journal is broken by it. A full disk is none: what is in the
 * log is safe there. */
static bool checkpoint(struct ledger *l)
{
	/* Before, so that all of the log can be moved; afterwards, so that it can be begun anew:
	 * snapshots taken from then on do not need it. */
	ledger_release_readers(l, true, false);
	int rc = journal_checkpoint(&l->journal);
	ledger_release_readers(l, true, false);
	enum db_trouble trouble = db_trouble(l->journal.db, rc);
	if (trouble == DB_FINE)
		return true;
	struct err why;
	describe(l, rc, "checkpoint", &why);
	if (trouble == DB_NO_ROOM) {
		log_debug("checkpoint put off", "error=\"%s\"", why.what);
		return true;
	}
	ledger_set_broken(l, &why);
	return false;
}

/* commit_group() - Return: 0 once it is on disk; 1 if it never will be. */
static int commit_group(struct ledger *l, struct group *g)
{
	int rc = apply(l, g, g->first);
	if (rc == SQLITE_OK)
		rc = hold(l, g);
	for (bool full = false;;) {
		l->journal.wall_ms = clock_wall_ms();
		if (rc == SQLITE_OK && g->open)
			rc = journal_commit(&l->journal);
		if (rc == SQLITE_OK) {
			if (full)
				ledger_set_full(l, PART_JOURNAL, NULL);
			return 0;
		}
		struct err why;
		describe(l, rc, "write", &why);
		enum db_trouble trouble = db_trouble(l->journal.db, rc);
		journal_rollback(&l->journal);
		g->open = false;
		if (trouble != DB_NO_ROOM) {
			ledger_set_broken(l, &why);
			return 1;
		}
		err_next(&why,
			 "Make room on the disk of the store; it goes on by itself.");
		if (!full)
			ledger_set_full(l, PART_JOURNAL, &why);
		full = true;
		if (!wait_for_room(l))
			return last_try(l, g);
		/* What is in the log may fit into the database's file, and the log begins anew. */
		if (!checkpoint(l))
			return 1;
		rc = apply(l, g, g->first);
	}
}

static void finish_group(struct ledger *l, struct group *g, bool durable)
{
	/* First, so that whoever finds an entry in the gap begins a snapshot that has its row. */
	if (durable)
		atomic_fetch_add(&l->version, 1);
	if (durable && g->open) {
		struct journal *j = &l->journal;
		gap_add(&l->gap, j->adds, j->add_count, &j->now.mark, clock_mono_ns());
		atomic_store(&l->changes, j->now.mark.change);
	}
	if (durable)
		atomic_store(&l->durable, g->step);
	atomic_fetch_sub(&l->queued_bytes, g->bytes);
	if (durable)
		ledger_signal(l);
	for (struct ledger_turn *t = g->first, *next; t; t = next) {
		next = t->next;
		turn_give_back(t);
	}
}

/* chore() - one small transaction of what can wait; *atp: when the next one may come. Return: false if
 * the journal is broken by it. */
static bool chore(struct ledger *l, uint64_t *atp)
{
	int rc = journal_chore(&l->journal, atomic_load(&l->changes_safe));
	enum db_trouble trouble = db_trouble(l->journal.db, rc);
	atomic_fetch_add(&l->version, 1);
	if (trouble == DB_FINE)
		return true;
	struct err why;
	describe(l, rc, "write", &why);
	if (trouble == DB_NO_ROOM) {
		log_debug("chore put off", "error=\"%s\"", why.what);
		*atp = clock_mono_ns() + CHORES_RETRY_NS;
		return true;
	}
	ledger_set_broken(l, &why);
	return false;
}

/* next_group() - wait for turns, checkpointing when idle. Return: false when closing and empty;
 * *okp: false if a checkpoint broke the journal. */
static bool next_group(struct ledger *l, struct group *g, bool *okp)
{
	group_init(g);
	uint64_t chores_at = clock_mono_ns() + CHORES_IDLE_NS;
	pthread_mutex_lock(&l->lock);
	l->writer_idle = true;
	while (!l->first && !l->closing) {
		bool due = *okp && journal_wal_pages(&l->journal) >= IDLE_PAGES;
		bool chores = *okp && journal_chore_due(&l->journal,
							atomic_load(&l->changes_safe));
		uint64_t until = due	  ? clock_mono_ns() + IDLE_NS
				 : chores ? chores_at
					  : TIME_NEVER;
		if (wait_work(l, until) || l->first)
			continue;
		l->writer_idle = false;
		pthread_mutex_unlock(&l->lock);
		*okp = due ? checkpoint(l) : chore(l, &chores_at);
		/* What the cache holds is in the database now; under load it is filled again soon. */
		sqlite3_db_release_memory(l->journal.db);
		pthread_mutex_lock(&l->lock);
		l->writer_idle = true;
	}
	l->writer_idle = false;
	take_turns(l, g);
	pthread_mutex_unlock(&l->lock);
	return g->first;
}

void *ledger_writer_main(void *arg)
{
	struct ledger *l = arg;
	struct group g;
	bool ok = true;
	/* A group that may wait 200 us must not wait 50 more for the timer. */
	prctl(PR_SET_TIMERSLACK, 1000, 0, 0, 0);
	prctl(PR_SET_NAME, "ledger-journal", 0, 0, 0);
	while (next_group(l, &g, &ok)) {
		bool durable = ok && commit_group(l, &g) == 0;
		ok = ok && durable;
		finish_group(l, &g, durable);
		if (ok && journal_wal_pages(&l->journal) >= BUSY_PAGES)
			ok = checkpoint(l);
		if (ok)
			gap_wait_for_room(&l->gap);
	}
	return NULL;
}
