/* graph.c - GraphQuery: what a commit was made from, and that from, up to the roots. Breadth first, so
 * that what is left out of a huge one is what is farthest. */
#include "broker/history/parts.h"

#define NODES_MAX 10000
#define GRAPH_BYTES (8u << 20)
enum { ENVELOPE_GRAPH_REPLY = 66 };

/* A node that cannot be read is there all the same: the others number it. */
static void add_node(struct history *h, struct buf *out, struct history_sources *s,
		     uint64_t seq)
{
	struct history_commit c;
	size_t mark = pb_open(out, 1);
	if (!history_read(h, seq, &c)) {
		history_add_row(h, out, 1, &c, NULL, 0);
		history_add_inputs(h, out, 2, &c, s);
		history_commit_fini(&c);
	}
	pb_close(out, mark);
}

int history_graph(struct history *h, const Cashet__Envelope *question,
		  const struct history_live *live, struct buf *out, struct err *e)
{
	const Cashet__GraphQuery *q = question->graph_query;
	struct history_sources s = {0};
	uint64_t seq;
	int rc = history_find_target(h, q->target, &seq, e);
	if (rc)
		return rc;
	s.max = q->max && q->max < NODES_MAX ? q->max : NODES_MAX;
	size_t mark = pb_open(out, ENVELOPE_GRAPH_REPLY);
	sources_number(&s, seq);
	for (uint32_t i = 0; i < s.count; i++) {
		if (out->size >
		    GRAPH_BYTES) /* those that were numbered follow, no more */
			s.max = s.count;
		add_node(h, out, &s, s.seqs[i]);
	}
	pb_uint(out, 2, s.cut);
	pb_close(out, mark);
	sources_fini(&s);
	return 0;
}
