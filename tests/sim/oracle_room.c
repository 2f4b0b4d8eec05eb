/* oracle_room.c - workers whose disks have no room for the inputs are left out while there are others. */
#include "tests/sim/oracle.h"

#define ROUND_NS (60 * NS_PER_S)

/* Another worker than those in @p->full that could be asked. UINT32_MAX: none. */
static uint32_t another(const struct sim *s, const struct print *p)
{
	for (uint32_t i = 0; i < s->worker_count; i++) {
		struct core_worker_view view;

		if (!(p->full >> i & 1) && s->workers[i].up &&
		    s->session[i] == s->workers[i].session &&
		    !core_view_worker(s->core, s->number[i], &view) && !view.gone &&
		    !view.silent && !view.draining)
			return i;
	}
	return UINT32_MAX;
}

/* A worker without room for the inputs is not asked again while there is another one. */
void oracle_check_room(struct sim *s, struct print *p, uint32_t worker)
{
	bool again = p->full >> worker & 1 && !p->full_unsure;

	if (again && another(s, p) != UINT32_MAX && s->now < p->full_at + ROUND_NS)
		broken(s, "worker %u has no room, and is asked before %u", worker,
		       another(s, p));
	if (again)
		p->full = 0; /* a new round */
}

/* The core may be a check late. */
bool oracle_is_refused(const struct sim *s, const struct print *p, uint32_t worker)
{
	uint64_t at = p->refused_at[worker];

	return at && s->now < at + ROUND_NS + 5 * NS_PER_S;
}

void oracle_no_room(struct sim *s, const struct message *m, uint64_t token)
{
	struct oracle *o = s->oracle;

	mem_grow(o->refusals, o->refusal_count, o->refusal_capacity);
	o->refusals[o->refusal_count++] = (struct refusal){m->lease, m->worker, token};
}

/* The core has believed it. */
static void take_no_room(struct sim *s, const struct refusal *r)
{
	struct print *p = oracle_print_of_lease(s, &r->lease);

	p->refused_at[r->worker] = s->now; /* its round began then, or before */
	if (!p->full)
		p->full_at = s->now;
	p->full |= 1u << r->worker;
	if (another(s, p) == UINT32_MAX)
		p->full = 0;
}

/* It may come long after the report, which waits with its claim until that can be judged. */
void oracle_check_verdict(struct sim *s, const struct core_effect *fx)
{
	struct oracle *o = s->oracle;

	for (size_t i = o->refusal_count; i-- > 0;) {
		if (o->refusals[i].token != fx->verdict.token)
			continue;
		if (fx->verdict.verdict == CORE_ACCEPTED)
			take_no_room(s, &o->refusals[i]);
		o->refusals[i] = o->refusals[--o->refusal_count];
		return;
	}
}

/* Rounds may begin anew, or executions, which know of none. */
void oracle_rooms_reset(struct sim *s)
{
	for (size_t i = 0; s->oracle && i < s->oracle->print_count; i++)
		s->oracle->prints[i].full_unsure = true;
}
