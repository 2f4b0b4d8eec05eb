/* note.c - why a batch does not get on, in words: for the progress of those who wait, and `cashet ps`. */
#include "broker/broker.h"

#include "common/pure/mem.h"

#include <stdlib.h>
#include <string.h>

enum {
	STUCK_SECONDS = 3, /* so long it must stand still: workers may be on their way */
	STUCK_LOOK = 65536 /* tasks that are looked at in one second, of all batches */
};

void batch_note(struct buf *out, const struct batch *batch,
		const struct core_batch_view *view)
{
	if (view->paused && view->paused_by < batch->function_count)
		buf_printf(out, "the first %u ended tasks of %s all failed",
			   CORE_PAUSE_AFTER, batch->functions[view->paused_by].name);
	else if (view->no_room_tried && view->no_room_function < batch->function_count)
		buf_printf(out,
			   "no worker has room on its disk for the inputs of %s (task "
			   "%u): %u tried, and again from time to time",
			   batch->functions[view->no_room_function].name, view->no_room,
			   view->no_room_tried);
	else if (batch->stuck && !view->counts.running)
		buf_add_str(out, batch->stuck);
}

static void explain_stuck(struct broker *b, const struct batch *batch, uint32_t index,
			  const struct core_wait_view *wait, struct buf *out)
{
	if (wait->why == CORE_WAIT_TOO_LARGE && wait->function < batch->function_count)
		buf_printf(out, "%s (task %u): ", batch->functions[wait->function].name,
			   index);
	batch_explain_wait(b, batch, wait, out);
	if (wait->why == CORE_WAIT_TOO_LARGE || wait->why == CORE_WAIT_NO_WORKER)
		buf_add_str(out, "; to see them: cashet worker ls");
}

static void look_at(struct broker *b, struct batch *batch, uint32_t *budget)
{
	struct core_wait_view wait;
	uint32_t index;
	if (batch->ended ||
	    core_view_stuck(b->core, batch->number, budget, &index, &wait)) {
		batch->stuck_seconds = 0;
		if (batch->stuck)
			batch_touch(b, batch);
		free(batch->stuck);
		batch->stuck = NULL;
		return;
	}
	if (++batch->stuck_seconds < STUCK_SECONDS)
		return;
	CLEANUP_BUF struct buf note = {0};
	explain_stuck(b, batch, index, &wait, &note);
	if (batch->stuck && !strcmp(batch->stuck, buf_cstr(&note)))
		return;
	free(batch->stuck);
	batch->stuck = mem_strdup(buf_cstr(&note));
	batch_touch(b, batch);
}

void batches_stuck(struct broker *b)
{
	const struct map *map = &b->batches.by_number;
	uint32_t budget = STUCK_LOOK;
	for (size_t i = 0; map->count && i <= map->mask; i++)
		for (struct map_node *n = map->buckets[i]; n; n = n->next)
			look_at(b, container_of(n, struct batch, by_number), &budget);
}
