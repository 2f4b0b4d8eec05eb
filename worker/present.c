/* present.c - what the broker is told about this worker; see worker.h. */
#include "worker/worker.h"

#include "common/fs.h"
#include "common/log.h"
#include "common/pure/mem.h"

#include <stdlib.h>
#include <string.h>

#define RESULTS_MAX 1024	 /* outcomes in one message */
#define RESULTS_BYTES (4u << 20) /* or about so many bytes */

bool worker_takes_nothing(const struct worker *w)
{
	return w->drain != DRAIN_NONE || w->is_full;
}

uint32_t present_credit(struct worker *w)
{
	if (worker_takes_nothing(w))
		return 0;
	uint64_t running = w->attempts.counts[ATTEMPT_RUNNING], age_ns = 0;
	struct list *at;
	list_for_each (at, &w->attempts.lists[ATTEMPT_RUNNING])
		age_ns += w->now_ns - container_of(at, struct attempt, link)->started_ns;
	uint64_t slots = resources_get(&w->capacity.total, "cpus") / 1000;
	w->shown_credit = credit_wanted(&w->credit, slots ? slots : 1, running, age_ns);
	return w->shown_credit;
}

static bool send_body(struct worker *w, Cashet__Envelope__BodyCase body, void *message)
{
	Cashet__Envelope e = CASHET__ENVELOPE__INIT;
	e.body_case = body;
	e.worker_hello = message; /* all members of the union are pointers */
	return session_send(&w->session, &e);
}

/* ---- WorkerHello */

static size_t list_claims(struct worker *w, Cashet__Claim *claims, Cashet__Lease *leases,
			  Cashet__Claim **list)
{
	size_t count = 0;
	for (int state = 0; state < ATTEMPT_STATES; state++) {
		struct list *at;
		list_for_each (at, &w->attempts.lists[state]) {
			struct attempt *a = container_of(at, struct attempt, link);
			lease_to_message(&leases[count], &a->lease);
			cashet__claim__init(&claims[count]);
			claims[count].lease = &leases[count];
			claims[count].started = a->state >= ATTEMPT_RUNNING;
			claims[count].finished = a->state == ATTEMPT_DONE;
			list[count] = &claims[count];
			count++;
		}
	}
	return count;
}

void present_hello(struct worker *w)
{
	Cashet__WorkerHello m = CASHET__WORKER_HELLO__INIT;
	Cashet__Resource resources[RESOURCES_MAX], *list[RESOURCES_MAX];
	const struct resources *total = &w->capacity.total;
	for (size_t i = 0; i < total->count; i++) {
		cashet__resource__init(&resources[i]);
		resources[i].name = (char *)(uintptr_t)total->items[i].name;
		resources[i].milli = total->items[i].amount;
		list[i] = &resources[i];
	}
	m.capacity = list;
	m.n_capacity = total->count;
	m.gpu_indices = w->capacity.gpu_index;
	m.n_gpu_indices = w->capacity.gpu_count;
	m.credit = present_credit(w);
	m.isolation = (char *)(uintptr_t)WORKER_ISOLATION;
	m.draining = worker_takes_nothing(w);
	size_t count = w->attempts.count;
	CLEANUP_FREE Cashet__Claim *claims = mem_alloc(count * sizeof *claims);
	CLEANUP_FREE Cashet__Lease *leases = mem_alloc(count * sizeof *leases);
	CLEANUP_FREE Cashet__Claim **claim_list = mem_alloc(count * sizeof *claim_list);
	m.claims = claim_list;
	m.n_claims = list_claims(w, claims, leases, claim_list);
	send_body(w, CASHET__ENVELOPE__BODY_WORKER_HELLO, &m);
	/* What was sent before may be lost: all results go again. */
	struct list *at;
	list_for_each (at, &w->attempts.lists[ATTEMPT_DONE])
		container_of(at, struct attempt, link)->is_sent = false;
	log_info("joined", "broker=%s leases=%zu", w->session.url, m.n_claims);
}

/* ---- Heartbeat */

void present_heartbeat(struct worker *w)
{
	Cashet__Heartbeat m = CASHET__HEARTBEAT__INIT;
	CLEANUP_FREE uint64_t *epochs = mem_alloc(w->attempts.count * sizeof *epochs);
	size_t count = 0;
	for (int state = 0; state < ATTEMPT_STATES; state++) {
		struct list *at;
		list_for_each (at, &w->attempts.lists[state])
			epochs[count++] =
				container_of(at, struct attempt, link)->lease.epoch;
	}
	m.epochs = epochs;
	m.n_epochs = count;
	m.credit = present_credit(w);
	m.draining = worker_takes_nothing(w);
	fs_free_bytes(w->options->work_dir, &m.free_bytes);
	send_body(w, CASHET__ENVELOPE__BODY_HEARTBEAT, &m);
}

/* ---- Results */

/* One message of what fits. Return: false if nothing was sent. */
static bool send_results(struct worker *w)
{
	Cashet__Outcome *outcomes[RESULTS_MAX];
	struct attempt *sent[RESULTS_MAX];
	size_t count = 0, bytes = 0, limit = RESULTS_BYTES;
	if (limit > w->session.message_max / 2)
		limit = w->session.message_max / 2;
	/* Unsent ones are at the end; walk back to the first of them. */
	struct list *head = &w->attempts.lists[ATTEMPT_DONE], *at = head->prev;
	while (at != head && !container_of(at, struct attempt, link)->is_sent)
		at = at->prev;
	for (at = at->next; at != head && count < RESULTS_MAX; at = at->next) {
		struct attempt *a = container_of(at, struct attempt, link);
		size_t size = report_size(a->report);
		if (count && bytes + size > limit)
			break;
		bytes += size;
		sent[count] = a;
		outcomes[count++] = &a->report->outcome;
	}
	if (!count)
		return false;
	Cashet__Results m = CASHET__RESULTS__INIT;
	m.outcomes = outcomes;
	m.n_outcomes = count;
	m.credit = present_credit(w);
	if (!send_body(w, CASHET__ENVELOPE__BODY_RESULTS, &m))
		return false;
	for (size_t i = 0; i < count; i++)
		sent[i]->is_sent = true;
	return true;
}

void present_results(struct worker *w)
{
	if (w->session.state != SESSION_UP)
		return;
	while (send_results(w))
		;
}

/* ---- Handback */

void present_handbacks(struct worker *w)
{
	size_t count = w->back.size / sizeof(uint64_t), known = 0;
	if (!count || w->session.state != SESSION_UP)
		return;
	const uint64_t *epochs = (const uint64_t *)(const void *)w->back.data;
	CLEANUP_FREE Cashet__Lease *leases = mem_alloc(count * sizeof *leases);
	CLEANUP_FREE Cashet__Lease **list = mem_alloc(count * sizeof *list);
	for (size_t i = 0; i < count; i++) {
		struct attempt *a = attempts_find(&w->attempts, epochs[i]);
		if (!a || a->state == ATTEMPT_DONE)
			continue; /* revoked meanwhile */
		lease_to_message(&leases[known], &a->lease);
		list[known] = &leases[known];
		known++;
	}
	Cashet__Handback m = CASHET__HANDBACK__INIT;
	const char *why = w->drain     ? "draining"
			  : w->is_full ? "disk full"
				       : "waited too long";
	m.leases = list;
	m.n_leases = known;
	m.why = (char *)(uintptr_t)why;
	if (known) /* first how little we want, or they come straight back */
		present_heartbeat(w);
	if (known && !send_body(w, CASHET__ENVELOPE__BODY_HANDBACK, &m))
		return;
	for (size_t i = 0; i < known; i++)
		finish_forget(w, attempts_find(&w->attempts, leases[i].epoch));
	buf_reset(&w->back);
	log_debug("handed back", "leases=%zu why=%s", known, why);
}
