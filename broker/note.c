/* note.c - why a batch does not get on, in words: for the progress of those who wait, and `cashet ps`. */
#include "broker/broker.h"

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
}
