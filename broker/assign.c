/* assign.c - assignments, acknowledgements and stop orders, one message of each per worker and
 * turn, encoded as the core decides them.
 *
 * What may leave early has its own Assign. A description is sent once per session: with the first
 * message that leaves with one of its tasks. A held message may be overtaken by an early one, so
 * each known description has the step with which it leaves.
 *
 * Of one function there may be several sources, which differ in what does not count. The worker runs the
 * one that it was sent last, so a description goes again when another is wanted, never two in one
 * message, and with each message as long as a held one with another source may still come. */
#include "broker/checkpoint.h"

#include "common/log.h"
#include "common/pure/mem.h"
#include "proto/pb.h"

#include <stdlib.h>
#include <string.h>

#define ASSIGN_MAX                                                                       \
	(2u << 20) /* bytes at which an Assign is sent in the middle of a turn */
#define KNOWN_MAX 65536
enum { ENVELOPE_ASSIGN = 51, ENVELOPE_RESULT_ACKS = 53, ENVELOPE_REVOKE = 54 };

/* ---- sending what was put together ---- */

static void begin(struct buf *out, unsigned field, size_t size)
{
	buf_reset(out);
	pb_tag(out, field, PB_BYTES);
	pb_varint(out, size);
}

static void send_assign(struct broker *b, struct worker *w, struct assigning *a,
			uint64_t step)
{
	if (!a->tasks.size && !a->functions.size)
		return;
	struct buf *out = &b->scratch;
	begin(out, ENVELOPE_ASSIGN, a->tasks.size + a->functions.size + a->options.size);
	buf_add(out, a->functions.data, a->functions.size);
	buf_add(out, a->options.data, a->options.size);
	buf_add(out, a->tasks.data, a->tasks.size);
	buf_reset(&a->tasks);
	buf_reset(&a->functions);
	buf_reset(&a->options);
	a->option_count = 0;
	struct peer *peer = peer_get(b, w->peer);
	if (peer)
		outbox_send(b, peer, step, out);
}

static void send_acks(struct broker *b, struct worker *w, uint64_t step)
{
	if (!w->acks.size)
		return;
	begin(&b->scratch, ENVELOPE_RESULT_ACKS, w->acks.size);
	buf_add(&b->scratch, w->acks.data, w->acks.size);
	buf_reset(&w->acks);
	struct peer *peer = peer_get(b, w->peer);
	if (peer)
		outbox_send(b, peer, step, &b->scratch);
}

static void send_revoke(struct broker *b, struct worker *w, struct buf *epochs,
			const char *why, uint64_t step)
{
	if (!epochs->size)
		return;
	struct buf *out = &b->scratch;
	buf_reset(out);
	size_t mark = pb_open(out, ENVELOPE_REVOKE);
	pb_bytes(out, 1, epochs->data, epochs->size); /* packed fixed64 */
	pb_text(out, 2, why);
	pb_close(out, mark);
	buf_reset(epochs);
	struct peer *peer = peer_get(b, w->peer);
	if (peer)
		outbox_send(b, peer, step, out);
}

void workers_send_early(struct broker *b)
{
	struct list *at, *next;
	list_for_each_safe (at, next, &b->workers.touched) {
		struct worker *w = container_of(at, struct worker, touched);
		send_assign(b, w, &w->early, 0);
	}
}

void workers_flush(struct broker *b, uint64_t hold)
{
	workers_send_early(b);
	while (!list_empty(&b->workers.touched)) {
		struct worker *w =
			container_of(b->workers.touched.next, struct worker, touched);
		list_del(&w->touched);
		send_assign(b, w, &w->held, hold);
		send_acks(b, w, hold);
		send_revoke(b, w, &w->revoke_cancelled, "cancelled", hold);
		send_revoke(b, w, &w->revoke_stale, "no longer its lease", hold);
	}
}

/* ---- putting together ---- */

void worker_ack(struct broker *b, struct worker *w, uint64_t epoch,
		enum core_verdict verdict, const uint8_t (*missing)[DIGEST_SIZE],
		size_t missing_count)
{
	size_t mark = pb_open(&w->acks, 1);
	pb_fixed64(&w->acks, 1, epoch);
	pb_uint(&w->acks, 2, verdict);
	for (size_t i = 0; i < missing_count; i++)
		pb_bytes(&w->acks, 3, missing[i], DIGEST_SIZE);
	pb_close(&w->acks, mark);
	worker_touch(b, w);
}

void worker_stop(struct broker *b, const struct core_effect *fx)
{
	struct worker *w = worker_get(b, fx->worker);
	if (!w || !peer_get(b, w->peer))
		return;
	struct buf *to = fx->stop.why == CORE_STOP_CANCELLED ? &w->revoke_cancelled
							     : &w->revoke_stale;
	uint8_t *at = buf_reserve(to, 8);
	assert(at);
	for (int i = 0; i < 8; i++)
		at[i] = (uint8_t)(fx->stop.epoch >> (8 * i));
	to->size += 8;
	worker_touch(b, w);
}

static void add_function(struct buf *out, const struct function_def *def,
			 const char *name, const uint8_t *source)
{
	size_t mark = pb_open(out, 2);
	pb_bytes(out, 1, def->hash, DIGEST_SIZE);
	pb_bytes(out, 2, def->description, def->description_size);
	pb_text(out, 3, name);
	if (source)
		pb_bytes(out, 5, source, DIGEST_SIZE);
	pb_close(out, mark);
}

/* learn() - put @f's description into @a unless the worker has, or will have had, it by then.
 * Return: false if it was found gone; what was known of its session went with it. */
static bool learn(struct broker *b, struct worker *w, struct assigning *a, bool early,
		  const struct batch_function *f)
{
	uint64_t hash = map_hash(f->def->hash, DIGEST_SIZE);
	struct known_function *known = NULL;
	for (struct map_node *n = map_first(&w->functions, hash); n && !known;
	     n = map_next(n)) {
		known = container_of(n, struct known_function, by_hash);
		if (memcmp(known->hash, f->def->hash, DIGEST_SIZE))
			known = NULL;
	}
	bool other = known && memcmp(known->source, f->source, DIGEST_SIZE) != 0;
	if (known && !other && !known->mixed_step &&
	    (!early || known->step <= b->durable))
		return true;
	if (other || (known && known->mixed_step && !early))
		send_assign(b, w, a, early ? 0 : b->step); /* it may be of the other */
	if (!peer_get(b, w->peer))
		return false;
	if (other && early && known->step > b->durable)
		known->mixed_step = known->step;
	else if (known && known->mixed_step <= b->durable)
		known->mixed_step = 0;
	add_function(&a->functions, f->def, f->name, f->has_source ? f->source : NULL);
	if (!known) {
		if (w->functions.count >= KNOWN_MAX) {
			struct map_node *n = map_any(&w->functions);
			map_remove(&w->functions, n);
			free(container_of(n, struct known_function, by_hash));
		}
		known = mem_alloc(sizeof *known);
		memcpy(known->hash, f->def->hash, DIGEST_SIZE);
		map_add(&w->functions, &known->by_hash, hash);
	}
	memcpy(known->source, f->source, DIGEST_SIZE);
	known->step = early ? 0 : b->step;
	return true;
}

/* The largest time-out among the subscribers may not be this batch's own: the last of two fields
 * of one number counts. */
static uint32_t add_options(struct assigning *a, const struct batch *batch,
			    uint32_t number, uint64_t timeout_ns)
{
	if (a->option_count && a->batch == batch->number && a->batch_option == number &&
	    a->timeout_ns == timeout_ns)
		return a->option_count - 1;
	const struct batch_options *o = &batch->options[number];
	size_t mark = pb_open(&a->options, 3);
	buf_add(&a->options, o->packed, o->packed_size);
	if (o->timeout_ns != timeout_ns) {
		pb_tag(&a->options, 2, PB_VARINT);
		pb_varint(&a->options, timeout_ns);
	}
	pb_close(&a->options, mark);
	a->batch = batch->number;
	a->batch_option = number;
	a->timeout_ns = timeout_ns;
	return a->option_count++;
}

static uint8_t *put_bytes(uint8_t *to, unsigned field, const void *data, size_t size)
{
	to = pb_put_varint(to, field << 3 | PB_BYTES);
	to = pb_put_varint(to, size);
	memcpy(to, data, size);
	return to + size;
}

static uint8_t *put_uint(uint8_t *to, unsigned field, uint64_t value)
{
	if (!value)
		return to;
	to = pb_put_varint(to, field << 3 | PB_VARINT);
	return pb_put_varint(to, value);
}

enum { LEASE_MAX = 256 };

static size_t put_lease(uint8_t *out, const struct core_lease *lease)
{
	uint8_t *to = put_bytes(out, 1, lease->batch_id, DIGEST_SIZE);
	to = put_uint(to, 2, lease->index);
	*to++ = 3 << 3 | PB_FIXED64;
	for (int i = 0; i < 8; i++)
		*to++ = (uint8_t)(lease->epoch >> (8 * i));
	to = put_bytes(to, 4, lease->func_hash, DIGEST_SIZE);
	to = put_bytes(to, 5, lease->args_hash, DIGEST_SIZE);
	if (lease->has_nonce)
		to = put_bytes(to, 6, lease->nonce, NONCE_SIZE);
	to = put_bytes(to, 7, lease->worker_key, KEY_SIZE);
	to = put_bytes(to, 8, lease->mac, CORE_MAC_SIZE);
	return (size_t)(to - out);
}

static void add_assignment(struct broker *b, struct buf *out,
			   const struct core_effect *fx, const struct batch_function *f,
			   uint32_t options)
{
	size_t left_size;
	const void *left = checkpoint_find(b, &fx->grant.lease, &left_size);
	uint8_t lease[LEASE_MAX];
	size_t lease_size = put_lease(lease, &fx->grant.lease);
	size_t name_size = strlen(f->name);
	uint8_t *start = buf_reserve(out, LEASE_MAX + fx->grant.args_size + name_size +
						  f->env_size + left_size + 80);
	assert(start);
	/* The length goes in front of it, in as many bytes as it needs. */
	uint8_t numbers[32], *to = put_uint(numbers, 2, options);
	to = put_uint(to, 4, fx->grant.attempt);
	to = put_uint(to, 5, fx->grant.attempts_max);
	size_t number_size = (size_t)(to - numbers);
	size_t size = 1 + pb_varint_size(lease_size) + lease_size + number_size +
		      (1 + pb_varint_size(fx->grant.args_size) + fx->grant.args_size) +
		      (1 + pb_varint_size(name_size) + name_size) + f->env_size +
		      (left ? 1 + pb_varint_size(left_size) + left_size : 0);
	to = pb_put_varint(start, 1 << 3 | PB_BYTES);
	to = pb_put_varint(to, size);
	uint8_t *body = to;
	to = put_bytes(to, 1, lease, lease_size);
	memcpy(to, numbers, number_size);
	to += number_size;
	to = put_bytes(to, 3, fx->grant.args, fx->grant.args_size);
	to = put_bytes(to, 6, f->name, name_size);
	if (f->env_size)
		memcpy(to, f->env, f->env_size);
	to += f->env_size;
	if (left)
		to = put_bytes(to, 8, left, left_size);
	assert((size_t)(to - body) == size);
	out->size += (size_t)(to - start);
}

void worker_grant(struct broker *b, const struct core_effect *fx)
{
	struct worker *w = worker_get(b, fx->worker);
	struct batch *batch = batch_find_number(b, fx->batch);
	/* To a worker that is gone nothing is sent: its next heartbeat will not name the lease. */
	if (!w || !batch || !peer_get(b, w->peer))
		return;
	bool early = fx->grant.early;
	struct assigning *a = early ? &w->early : &w->held;
	const struct batch_function *f = &batch->functions[fx->grant.function];
	if (!learn(b, w, a, early, f))
		return;
	uint32_t options = add_options(a, batch, f->options, fx->grant.timeout_ns);
	add_assignment(b, &a->tasks, fx, f, options);
	worker_touch(b, w);
	if (a->tasks.size + a->functions.size > ASSIGN_MAX)
		send_assign(b, w, a, early ? 0 : b->step);
}

void handle_function_query(struct broker *b, struct peer *peer, const Cashet__Envelope *e)
{
	const Cashet__FunctionQuery *query = e->function_query;
	struct function_def *def = wire_is(&query->func_hash, DIGEST_SIZE)
					   ? function_def_find(b, query->func_hash.data)
					   : NULL;
	if (!def) {
		struct err error = {0};
		err_set(&error, ERR_NOT_FOUND, "no live batch has this function");
		peer_error(b, peer, e->serial, &error);
		return;
	}
	struct buf *out = &b->scratch;
	buf_reset(out);
	pb_uint(out, 1, e->serial);
	size_t mark = pb_open(out, ENVELOPE_ASSIGN);
	add_function(out, def, "", def->has_source ? def->source : NULL);
	pb_close(out, mark);
	peer_send_packed(b, peer, out);
}
