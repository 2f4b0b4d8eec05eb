/* schedule.c - which execution goes where.
 *
 * READY executions wait in queues, first in first out, one per (priority, request, batch with a
 * max_parallel, other request). Higher priority goes first; queues of one priority take turns.
 * Free capacity is filled first, round robin over the workers that may take something; what fits
 * on no worker now may be queued on one by its credit. A request for which there was no room is
 * not tried again before room was made somewhere (core->room). What is passed over too often has
 * a worker kept for it (fair.c).
 *
 * Equal work that several want under different requests waits under that of its sponsor, in queues
 * of its own. When there is no room for that one it is granted from there under another one for
 * which there is: nothing moves to and fro. Free capacity for any of them goes before credit. Of
 * each queue the first OTHER_LOOK are looked at; what is missed waits for its sponsor's turn.
 *
 * Queues without a class hold: core->held until the workers of the last boot are here, a batch's own
 * while it is paused. */
#include "broker/core/parts.h"

#include <stdlib.h>

void queue_init(struct queue *q)
{
	*q = (struct queue){.head = NO_SLOT, .tail = NO_SLOT, .limit = NO_SLOT};
}

void queue_push(struct core *core, struct queue *q, struct execution *e, bool front)
{
	assert(!e->queue);
	e->queue = q;
	e->prev = front ? NO_SLOT : q->tail;
	e->next = front ? q->head : NO_SLOT;
	if (e->prev != NO_SLOT)
		exec_at(core, e->prev)->next = e->slot;
	else
		q->head = e->slot;
	if (e->next != NO_SLOT)
		exec_at(core, e->next)->prev = e->slot;
	else
		q->tail = e->slot;
	q->count++;
}

void queue_remove(struct core *core, struct execution *e)
{
	struct queue *q = e->queue;
	if (e->prev != NO_SLOT)
		exec_at(core, e->prev)->next = e->next;
	else
		q->head = e->next;
	if (e->next != NO_SLOT)
		exec_at(core, e->next)->prev = e->prev;
	else
		q->tail = e->prev;
	e->prev = e->next = NO_SLOT;
	e->queue = NULL;
	q->count--;
	if (!q->count && q->kept)
		core->schedule = true; /* its worker is free for others */
}

struct queue_key {
	int32_t priority;
	struct class *class;
	uint32_t limit;
	struct class *other;
	bool many;
};

static uint32_t other_slot(const struct class *other)
{
	return other ? other->slot : NO_SLOT;
}

static int compare(const struct queue *q, const struct queue_key *k)
{
	if (q->priority != k->priority)
		return q->priority > k->priority ? -1 : 1;
	if (q->class->slot != k->class->slot)
		return q->class->slot < k->class->slot ? -1 : 1;
	if (q->limit != k->limit)
		return q->limit < k->limit ? -1 : 1;
	if (q->other != k->other)
		return other_slot(q->other) < other_slot(k->other) ? -1 : 1;
	return q->many - k->many;
}

static struct queue *find_queue(struct core *core, const struct queue_key *k)
{
	uint32_t low = 0, high = core->ready_count;
	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		int order = compare(core->ready[middle], k);
		if (order == 0)
			return core->ready[middle];
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	mem_grow(core->ready, core->ready_count, core->ready_capacity);
	memmove(core->ready + low + 1, core->ready + low,
		(core->ready_count - low) * sizeof *core->ready);
	core->ready_count++;
	struct queue *q = mem_alloc(sizeof *q);
	queue_init(q);
	q->priority = k->priority;
	q->class = k->class;
	q->limit = k->limit;
	q->other = k->other;
	q->many = k->many;
	class_ref(q->class);
	if (q->other)
		class_ref(q->other);
	core->ready[low] = q;
	return q;
}

static void free_queue(struct core *core, struct queue *q)
{
	assert(!q->count);
	fair_release(core, q);
	class_unref(core, q->class);
	if (q->other)
		class_unref(core, q->other);
	free(q);
}

/* Empty queues stay until here: which are used changes little from step to step. */
static void drop_empty(struct core *core)
{
	uint32_t kept = 0;
	for (uint32_t i = 0; i < core->ready_count; i++) {
		if (core->ready[i]->count)
			core->ready[kept++] = core->ready[i];
		else
			free_queue(core, core->ready[i]);
	}
	core->ready_count = kept;
}

static struct queue_key key_of(const struct core *core, const struct execution *e,
			       const struct task *sponsor)
{
	const struct options *o = task_options(core, sponsor);
	const struct batch *b = task_batch(core, sponsor);
	struct queue_key k = {.priority = o->priority,
			      .class = o->class,
			      .limit = b->max_parallel ? b->slot : NO_SLOT};
	const struct task *t = e->subs;
	for (uint32_t n = e->sub_count; n; n--, t = t->next) {
		const struct batch *its = task_batch(core, t);
		const struct options *own = task_options(core, t);
		if (!its->paused && !its->cancelled && own->priority > k.priority)
			k.priority = own->priority;
		if (!class_may_stand_in(own->class, k.class) || own->class == k.other)
			continue;
		k.many = k.other; /* also of paused batches: they go on some day */
		if (!k.other)
			k.other = own->class;
	}
	return k;
}

void schedule_add(struct core *core, struct execution *e, bool front)
{
	assert(e->state == EXEC_READY);
	e->flags &= ~EXEC_CHECK;
	if (core->adopting && e->flags & EXEC_HELD && !PLANTED(PLANT_NO_ADOPTION_WAIT)) {
		queue_push(core, &core->held, e, front);
		return;
	}
	struct task *sponsor = exec_sponsor(core, e);
	if (!sponsor) {
		queue_push(core, &task_batch(core, e->subs)->held, e, front);
		return;
	}
	struct queue_key k = key_of(core, e, sponsor);
	struct queue *q = find_queue(core, &k);
	if (!q->count)
		q->since = core->grants;
	queue_push(core, q, e, front);
	core->schedule = true;
}

void schedule_room(struct core *core)
{
	core->room++;
	core->places++;
	core->schedule = true;
}

void schedule_ended(struct core *core, const struct worker *w, bool place)
{
	core->room++;
	core->places += place;
	core->schedule = true;
	if (w->open != NO_SLOT)
		core->open_cursor = w->open; /* likely the only one with room */
}

void schedule_release(struct core *core, struct queue *from)
{
	for (uint32_t n = from->count; n; n--) {
		struct execution *e = exec_at(core, from->head);
		queue_remove(core, e);
		schedule_add(core, e, false);
	}
}

/* Takes one queue that counts against the batch in @slot out of the list. */
static struct queue *take_limited(struct core *core, uint32_t slot)
{
	uint32_t kept = 0;
	struct queue *stranded = NULL;
	for (uint32_t i = 0; i < core->ready_count; i++) {
		struct queue *q = core->ready[i];
		if (q->limit != slot || stranded) {
			core->ready[kept++] = q;
			continue;
		}
		stranded = q;
	}
	core->ready_count = kept;
	return stranded;
}

/* The number of a batch may be given to another one; executions that others share move on. */
void schedule_forget_batch(struct core *core, uint32_t slot)
{
	for (struct queue *q; (q = take_limited(core, slot));) {
		schedule_release(core, q);
		free_queue(core, q);
	}
}

bool schedule_runs_there(const struct core *core, const struct worker *w,
			 const struct execution *e)
{
	if (!e->extra || !e->extra->unproven)
		return false;
	for (int place = 0; place < 3; place++) {
		struct list *pos;
		list_for_each (pos, &w->leases[place])
			if (container_of(pos, struct lease, link)->exec == exec_id(e))
				return true;
	}
	return false;
}

static bool has_credit(const struct worker *w)
{
	return w->counts[LEASE_QUEUED] < w->credit;
}

static struct worker *pick(struct core *core, const struct queue *q,
			   const struct class *class, const struct execution *e,
			   bool placed)
{
	for (uint32_t n = 0; n < core->open_count; n++) {
		uint32_t i = (core->open_cursor + n) % core->open_count;
		struct worker *w = core->open[i];
		bool fits = placed ? worker_fits(w, class, true) ||
					     PLANTED(PLANT_OVERSUBSCRIBE)
				   : has_credit(w) && worker_fits(w, class, false);
		if (!fits || schedule_runs_there(core, w, e) || room_is_refused(e, w))
			continue;
		if (fair_is_kept(core, w, q)) {
			core->kept_back = true;
			continue;
		}
		core->open_cursor = i + 1;
		return w;
	}
	return NULL;
}

static bool is_full(const struct batch *b)
{
	return b->max_parallel && b->running >= b->max_parallel;
}

bool schedule_is_full(const struct core *core, const struct queue *q)
{
	return q->limit != NO_SLOT && is_full(core->batches[q->limit]);
}

bool schedule_waits_for_room(const struct core *core, const struct execution *e)
{
	return e->state == EXEC_READY && e->queue && e->queue->class &&
	       !schedule_is_full(core, e->queue) && !core->holding && !core->draining;
}

enum tried { TRIED_GRANTED, TRIED_MOVED, TRIED_NO_ROOM, TRIED_NOT_THIS };

/* Is @e still where it belongs? Its sponsor may have changed since it was queued. */
static bool belongs(const struct core *core, const struct queue *q,
		    const struct execution *e, const struct task *sponsor)
{
	if (!sponsor)
		return false;
	if (e->flags & EXEC_CHECK) {
		struct queue_key k = key_of(core, e, sponsor);
		return compare(q, &k) == 0;
	}
	const struct batch *b = task_batch(core, sponsor);
	return task_options(core, sponsor)->class == q->class &&
	       (b->max_parallel ? b->slot : NO_SLOT) == q->limit;
}

/* An attempt of it may still run somewhere, or disks have no room for its inputs: that there is no
 * worker for it says nothing about others. */
static bool is_choosy(const struct execution *e)
{
	return e->extra && (e->extra->unproven || e->extra->full_count);
}

/* A worker for @e under the request @class; remembers that there is none. */
static struct worker *find_worker(struct core *core, const struct queue *q,
				  const struct execution *e, struct class *class,
				  bool placed)
{
	if (class->blocked == core->room || class->none[placed] == core->turns ||
	    (placed && class->no_place == core->places))
		return NULL;
	core->kept_back = false;
	struct worker *w = pick(core, q, class, e, placed);
	if (w || is_choosy(e))
		return w;
	class->none[placed] = core->turns;
	if (core->kept_back)
		return NULL;
	if (placed)
		class->no_place = core->places;
	else if (class->no_place == core->places)
		class->blocked = core->room;
	return NULL;
}

/* The same under the request of another subscriber than the sponsor; @sponsorp: whose. */
static struct worker *find_under_other(struct core *core, const struct queue *q,
				       const struct execution *e, bool placed,
				       struct task **sponsorp)
{
	uint32_t looks = e->sub_count < SPONSOR_LOOK ? e->sub_count : SPONSOR_LOOK;
	if (!looks || PLANTED(PLANT_FIRST_REQUEST))
		return NULL;
	for (struct task *t = e->subs->prev; looks; looks--, t = t->prev) {
		const struct batch *b = task_batch(core, t);
		struct class *class = task_options(core, t)->class;
		if (!class_may_stand_in(class, q->class) || b->paused || b->cancelled ||
		    is_full(b))
			continue;
		struct worker *w = find_worker(core, q, e, class, placed);
		if (w) {
			*sponsorp = t;
			return w;
		}
	}
	return NULL;
}

static enum tried try_grant(struct core *core, struct queue *q, struct execution *e)
{
	struct task *sponsor = exec_sponsor(core, e);
	if (!belongs(core, q, e, sponsor)) {
		queue_remove(core, e);
		schedule_add(core, e, false);
		return TRIED_MOVED;
	}
	if (is_full(task_batch(core, sponsor)))
		return TRIED_NOT_THIS;
	room_next_round(core, e);
	struct worker *w = NULL;
	bool placed = false;
	for (int n = 0; n < 2 && !w; n++) {
		placed = n == 0;
		w = find_worker(core, q, e, q->class, placed);
		if (!w && q->other)
			w = find_under_other(core, q, e, placed, &sponsor);
	}
	if (!w)
		return is_choosy(e) ? TRIED_NOT_THIS : TRIED_NO_ROOM;
	lease_grant(core, w, e, sponsor, placed);
	fair_granted(core, q);
	worker_update(core, w);
	return TRIED_GRANTED;
}

/* The batch that @q counts against may not run more; others share some of it and may. Few are looked
 * at: what is missed waits until an attempt of that batch ends. */
static bool move_shared(struct core *core, const struct queue *q)
{
	uint32_t slot = q->head;
	for (uint32_t n = 0; slot != NO_SLOT && n < SHARED_LOOK; n++) {
		struct execution *e = exec_at(core, slot);
		const struct task *sponsor =
			e->sub_count > 1 ? exec_sponsor(core, e) : NULL;
		slot = e->next;
		if (!sponsor || is_full(task_batch(core, sponsor)))
			continue;
		queue_remove(core, e);
		schedule_add(core, e, false);
		return true;
	}
	return false;
}

/* No worker has room for any of it. */
static bool is_blocked(const struct core *core, const struct queue *q)
{
	return q->class->blocked == core->room &&
	       (!q->other || (q->other->blocked == core->room && !q->many));
}

/* One execution of @q. Return: true if the queue may give another; @moved: the queues changed. */
static bool serve(struct core *core, struct queue *q, bool *moved)
{
	uint32_t looks =
		q->other ? OTHER_LOOK : 1; /* there may be room for another one */
	core->turns++;
	if (is_blocked(core, q))
		return false;
	if (schedule_is_full(core, q))
		return *moved = move_shared(core, q);
	for (uint32_t slot = q->head, next; slot != NO_SLOT; slot = next) {
		struct execution *e = exec_at(core, slot);
		next = e->next;
		switch (try_grant(core, q, e)) {
		case TRIED_GRANTED:
			return true;
		case TRIED_MOVED:
			*moved = true;
			return true;
		case TRIED_NO_ROOM:
			if (!--looks || is_blocked(core, q))
				return false;
			break;
		case TRIED_NOT_THIS:
			break;
		}
	}
	return false;
}

/* Queues [first, last) of one priority take turns until none can give more. */
static bool serve_band(struct core *core, uint32_t first, uint32_t last)
{
	bool moved = false, more = true;
	while (more && !moved && core->open_count) {
		more = false;
		for (uint32_t i = first; i < last && !moved && core->open_count; i++)
			more |= serve(core, core->ready[i], &moved);
	}
	return moved;
}

/* What waits in @q, which no worker could serve, goes to where another of its subscribers gets it. */
static void refit_queue(struct core *core, struct queue *q)
{
	for (uint32_t slot = q->head; slot != NO_SLOT;) {
		struct execution *e = exec_at(core, slot);
		const struct task *sponsor =
			e->sub_count > 1 ? exec_sponsor(core, e) : NULL;
		slot = e->next;
		if (!sponsor || task_options(core, sponsor)->class == q->class)
			continue;
		queue_remove(core, e);
		schedule_add(core, e, false);
	}
}

static void refit(struct core *core)
{
	core->refit = false;
	for (uint32_t i = 0; i < core->ready_count; i++) {
		struct queue *q = core->ready[i];
		if (!q->count || class_fits(core, q->class))
			continue;
		refit_queue(core, q);
		while (core->ready[i] != q)
			i++; /* new queues came before it */
	}
}

void schedule_run(struct core *core)
{
	if (!core->schedule || core->holding || core->draining || core->recovering)
		return;
	if (core->refit)
		refit(core);
	core->schedule = false;
	drop_empty(core);
	fair_run(core);
	for (uint32_t first = 0, last; first < core->ready_count && core->open_count;
	     first = last) {
		last = first;
		while (last < core->ready_count &&
		       core->ready[last]->priority == core->ready[first]->priority)
			last++;
		if (serve_band(core, first, last))
			last = 0; /* an execution went to another queue: from the top */
	}
}

void schedule_free_all(struct core *core)
{
	for (uint32_t i = 0; i < core->ready_count; i++) {
		core->ready[i]->count = 0; /* executions and workers are freed before */
		core->ready[i]->kept = NULL;
		free_queue(core, core->ready[i]);
	}
	free(core->ready);
}
