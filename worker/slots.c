/* slots.c - see slots.h. */
#include "worker/slots.h"

#include "common/log.h"
#include "common/pure/mem.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

void slots_init(struct slots *s, int spawner, int epoll, uint64_t tag, uint32_t max)
{
	*s = (struct slots){.spawner = spawner,
			    .epoll = epoll,
			    .tag = tag,
			    .max = max < SLOTS_MAX ? max : SLOTS_MAX};
}

void slots_fini(struct slots *s)
{
	for (uint32_t i = 0; i < s->count; i++) {
		if (s->items[i]->sock >= 0)
			close(s->items[i]->sock);
		free(s->items[i]);
	}
	*s = (struct slots){.spawner = s->spawner};
}

static struct slot *find_free(struct slots *s)
{
	for (uint32_t i = 0; i < s->count; i++)
		if (s->items[i]->state == SLOT_FREE)
			return s->items[i];
	if (s->count >= s->max) {
		if (!s->is_told && s->max < SLOTS_MAX)
			log_warn("no more tasks at a time",
				 "tasks=%u why=\"as many as open files allow, see ulimit "
				 "-n\"",
				 s->max);
		s->is_told = true;
		return NULL;
	}
	struct slot *slot = mem_alloc(sizeof *slot);
	*slot = (struct slot){.number = s->count, .sock = -1};
	s->items[s->count++] = slot;
	return slot;
}

bool slots_request(struct slots *s)
{
	struct slot *slot = find_free(s);
	if (!slot || spawner_request_slot(s->spawner, slot->number) < 0)
		return false;
	slot->state = SLOT_STARTING;
	s->starting++;
	return true;
}

void slots_arrived(struct slots *s, const struct spawner_message *m, int sock)
{
	struct slot *slot = m->slot < s->count ? s->items[m->slot] : NULL;
	if (!slot || slot->state != SLOT_STARTING) {
		if (sock >= 0)
			close(sock);
		return;
	}
	s->starting--;
	slot->state = SLOT_FREE;
	if (sock < 0) {
		/* without an error there was no descriptor left to take it by */
		log_error("slot process not started", "error=%s",
			  strerror(m->error ? m->error : EMFILE));
		return;
	}
	struct epoll_event event = {.events = EPOLLIN, .data.u64 = s->tag | slot->number};
	if (epoll_ctl(s->epoll, EPOLL_CTL_ADD, sock, &event) < 0) {
		close(sock);
		return;
	}
	slot->sock = sock;
	slot->state = SLOT_IDLE;
	slot->next_idle = s->idle;
	s->idle = slot;
}

struct slot *slots_take(struct slots *s, struct attempt *attempt, struct slot_user *user)
{
	struct slot *slot = s->idle;
	if (!slot)
		return NULL;
	s->idle = slot->next_idle;
	slot->state = SLOT_BUSY;
	slot->attempt = attempt;
	slot->user = user;
	if (user)
		user->slot = slot;
	s->busy++;
	return slot;
}

void slots_put(struct slots *s, struct slot *slot)
{
	assert(slot->state == SLOT_BUSY);
	slot->state = SLOT_IDLE;
	slot->attempt = NULL;
	if (slot->user)
		slot->user->slot = NULL;
	slot->user = NULL;
	slot->next_idle = s->idle;
	s->idle = slot;
	s->busy--;
}

void slots_broken(struct slots *s, struct slot *slot)
{
	if (slot->state == SLOT_IDLE) {
		struct slot **at = &s->idle;
		while (*at != slot)
			at = &(*at)->next_idle;
		*at = slot->next_idle;
	} else if (slot->state == SLOT_BUSY) {
		s->busy--;
	}
	if (slot->sock >= 0)
		close(slot->sock);
	slot->sock = -1;
	if (slot->state == SLOT_IDLE || slot->state == SLOT_BUSY)
		slot->state = SLOT_DYING;
}

struct attempt *slots_gone(struct slots *s, uint32_t number, struct slot_user **userp)
{
	*userp = NULL;
	struct slot *slot = number < s->count ? s->items[number] : NULL;
	if (!slot || slot->state == SLOT_FREE || slot->state == SLOT_STARTING)
		return NULL;
	slots_broken(s, slot);
	struct attempt *attempt = slot->attempt;
	slot->attempt = NULL;
	*userp = steal(slot->user);
	if (*userp)
		(*userp)->slot = NULL;
	slot->state = SLOT_FREE;
	return attempt;
}
