/* picked.h - leases of a worker, put aside by their epochs before something is done to each: what is
 * done to one may move or end others. */
#pragma once

#include "broker/core/parts.h"

#include <stdlib.h>

struct picked {
	uint64_t *epochs;
	uint8_t *places;
	uint32_t count, capacity;
};

static inline void picked_fini(struct picked *p)
{
	free(p->epochs);
	free(p->places);
}

static inline void picked_add(struct picked *p, const struct lease *l)
{
	if (p->count == p->capacity) {
		p->capacity = p->capacity ? 2 * p->capacity : 16;
		p->epochs = mem_resize(p->epochs, p->capacity * sizeof *p->epochs);
		p->places = mem_resize(p->places, p->capacity);
	}
	p->places[p->count] = l->place;
	p->epochs[p->count++] = l->epoch;
}

/* All for which @wanted says so, by place and then by age. */
static inline struct picked picked_all(const struct worker *w,
				       bool (*wanted)(const struct lease *))
{
	struct picked p = {0};
	for (int place = 0; place < 3; place++) {
		struct list *pos;
		list_for_each (pos, &w->leases[place])
			if (wanted(container_of(pos, struct lease, link)))
				picked_add(&p, container_of(pos, struct lease, link));
	}
	return p;
}
