/* emit_inputs.c - see emit.h: files, lists, references and wildcards of one entry. */
#include "client/batch/emit.h"

#include "common/pure/sha256.h"

#include <stdlib.h>
#include <string.h>

/* ---- file names: one that all members share, or one for each */

struct names {
	const char *shared; /* NULL once two differ */
	bool differ;
	uint64_t members;
	const char **each; /* NULL: only counted */
};

static void add_name(struct names *n, const char *name, uint32_t count)
{
	if (!n->members)
		n->shared = name;
	else if (n->shared && strcmp(n->shared, name))
		n->shared = NULL;
	for (uint32_t i = 0; n->each && i < count; i++)
		n->each[n->members + i] = name;
	n->members += count;
}

static void add_names(struct names *n, const struct targets *t,
		      const struct spec_input *input)
{
	uint32_t first;
	for (uint32_t i = 0; i < input->count; i++) {
		const struct spec_member *m = &input->members[i];
		if (m->kind != MEMBER_REF) {
			add_name(n, m->file_name, 1);
			continue;
		}
		uint32_t at = m->ref.target;
		for (; at != TARGET_NONE; at = ref_next(t, &m->ref, at))
			add_name(n, ref_file_name(t, &m->ref, at),
				 ref_tasks(t, &m->ref, at, &first));
	}
}

bool input_names(const struct targets *t, const struct spec_input *input,
		 uint64_t *membersp)
{
	struct names n = {0};
	add_names(&n, t, input);
	*membersp = n.members;
	return n.shared || !n.members;
}

static int set_names(struct emit *m, const struct spec_input *input,
		     struct args_input *out)
{
	uint64_t members;
	struct names n = {0};
	out->name_is_array = !input_names(m->targets, input, &members);
	out->name_count = out->name_is_array ? members : 1;
	if (!(out->names = emit_take(m, out->name_count, sizeof *out->names)))
		return ERR_FAILED;
	n.each = out->name_is_array ? (const char **)out->names : NULL;
	add_names(&n, m->targets, input);
	if (!out->name_is_array)
		out->names[0] = (char *)(n.shared ? n.shared : input->name);
	return 0;
}

/* ---- contents */

static int static_content(struct emit *m, const struct spec_member *member,
			  struct content *content)
{
	if (member->kind == MEMBER_EXTERN) {
		content->type = CONTENT_EXTERN;
		sha256_digest(member->as, strlen(member->as), content->digest);
		return 0;
	}
	*content = member->item->content;
	return files_upload(member->item, m->builder, m->e);
}

static void add_extern(struct emit_inputs *out, Cashet__Extern *at, uint32_t input,
		       uint32_t member, const char *path)
{
	cashet__extern__init(at);
	at->input = input;
	at->member = member;
	at->path = (char *)path;
	out->externs[out->extern_count++] = at;
}

/* ranges_of() - how many ranges a member is. */
static size_t ranges_of(const struct emit *m, const struct spec_member *member)
{
	size_t count = 1;
	if (member->kind == MEMBER_REF)
		for (uint32_t at = ref_next(m->targets, &member->ref, member->ref.target);
		     at != TARGET_NONE; at = ref_next(m->targets, &member->ref, at))
			count++;
	return count;
}

struct group {
	Cashet__Group message;
	Cashet__GroupRange *ranges;
	uint32_t members; /* so far */
};

static void add_range(struct group *g, uint32_t first, uint32_t count, uint32_t slot)
{
	Cashet__GroupRange *last =
		g->message.n_ranges ? g->message.ranges[g->message.n_ranges - 1] : NULL;
	g->members += count;
	if (last && last->count && last->slot == slot &&
	    last->first + last->count == first) {
		last->count += count;
		return;
	}
	Cashet__GroupRange *range = &g->ranges[g->message.n_ranges];
	cashet__group_range__init(range);
	range->first = first;
	range->count = count;
	range->slot = slot;
	g->message.ranges[g->message.n_ranges++] = range;
}

static void add_content(struct group *g, const struct content *content)
{
	Cashet__GroupRange *range = &g->ranges[g->message.n_ranges];
	cashet__group_range__init(range);
	range->content = (ProtobufCBinaryData){CONTENT_SIZE, (uint8_t *)content};
	g->message.ranges[g->message.n_ranges++] = range;
	g->members++;
}

static void add_ref(struct emit *m, struct group *g, const struct spec_ref *ref)
{
	for (uint32_t at = ref->target; at != TARGET_NONE;
	     at = ref_next(m->targets, ref, at)) {
		uint32_t first, count = ref_tasks(m->targets, ref, at, &first);
		const struct shape *shape =
			&m->targets->shapes[m->targets->items[at].shape];
		add_range(g, first, count, ref_slot(ref, shape));
	}
}

static int give_group(struct emit *m, const struct group *g, uint32_t *numberp)
{
	size_t size = cashet__group__get_packed_size(&g->message);
	buf_reset(&m->packed);
	uint8_t *to = buf_reserve(&m->packed, size + 1);
	if (!to)
		return source_no_memory(m->e);
	m->packed.size = cashet__group__pack(&g->message, to);
	if (emit_number(&m->groups, m->packed.data, size, numberp))
		return 0;
	int e = builder_add_group(m->builder, &g->message, numberp, m->e);
	return e ? e : emit_remember(m, &m->groups, m->packed.data, size, *numberp);
}

static int make_group(struct emit *m, const struct spec_input *input, uint32_t number,
		      struct emit_inputs *out, uint32_t *groupp)
{
	struct group g = {.message = CASHET__GROUP__INIT};
	size_t count = 0;
	for (uint32_t i = 0; i < input->count; i++)
		count += ranges_of(m, &input->members[i]);
	g.ranges = emit_take(m, count, sizeof *g.ranges);
	g.message.ranges = emit_take(m, count, sizeof *g.message.ranges);
	struct content *contents = emit_take(m, input->count, sizeof *contents);
	Cashet__Extern *externs = emit_take(m, input->count, sizeof *externs);
	if (!g.ranges || !g.message.ranges || !contents || !externs)
		return ERR_FAILED;
	for (uint32_t i = 0; i < input->count; i++) {
		const struct spec_member *member = &input->members[i];
		if (member->kind == MEMBER_REF) {
			g.message.skip_failed |= member->ref.skip_failed;
			add_ref(m, &g, &member->ref);
			continue;
		}
		int e = static_content(m, member, &contents[i]);
		if (e)
			return e;
		if (member->kind == MEMBER_EXTERN)
			add_extern(out, &externs[i], number, g.members, member->path);
		add_content(&g, &contents[i]);
	}
	return give_group(m, &g, groupp);
}

/* A list of nothing but files is known now: its blob is made here. */
static int make_list(struct emit *m, const struct spec_input *input, uint32_t number,
		     struct emit_inputs *out, struct content *content)
{
	struct content *list = emit_take(m, input->count, sizeof *list);
	Cashet__Extern *externs = emit_take(m, input->count, sizeof *externs);
	if (!list || !externs)
		return ERR_FAILED;
	for (uint32_t i = 0; i < input->count; i++) {
		int e = static_content(m, &input->members[i], &list[i]);
		if (e)
			return e;
		if (input->members[i].kind == MEMBER_EXTERN)
			add_extern(out, &externs[i], number, i, input->members[i].path);
	}
	content->type = CONTENT_LIST;
	struct builder_upload upload = {.data = list,
					.size = input->count * sizeof *list};
	sha256_digest(list, upload.size, content->digest);
	memcpy(upload.digest, content->digest, DIGEST_SIZE);
	return upload.size ? builder_upload(m->builder, &upload, m->e) : 0;
}

/* ref->offset is the input's number, until the arguments are encoded. */
static int make_ref(struct emit *m, const struct spec_input *input, uint32_t number,
		    struct emit_inputs *out, Cashet__Ref *ref)
{
	const struct spec_member *only = input->is_list ? NULL : input->members;
	cashet__ref__init(ref);
	ref->offset = number;
	if (only && !only->ref.all) {
		const struct target *t = &m->targets->items[only->ref.target];
		ref_tasks(m->targets, &only->ref, only->ref.target, &ref->target);
		ref->slot = ref_slot(&only->ref, &m->targets->shapes[t->shape]);
		return 0;
	}
	ref->is_group = true;
	return make_group(m, input, number, out, &ref->target);
}

static int make_input(struct emit *m, const struct spec_input *input, uint32_t number,
		      struct emit_inputs *out)
{
	struct args_input *arg = &out->args.inputs[number];
	int e = set_names(m, input, arg);
	if (e)
		return e;
	bool has_ref = false;
	for (uint32_t i = 0; i < input->count; i++)
		has_ref |= input->members[i].kind == MEMBER_REF;
	const struct spec_member *only = input->is_list ? NULL : input->members;
	if (!has_ref && !only)
		return make_list(m, input, number, out, &arg->content);
	if (!has_ref) {
		Cashet__Extern *external = emit_take(m, 1, sizeof *external);
		if (!external)
			return ERR_FAILED;
		if (only->kind == MEMBER_EXTERN)
			add_extern(out, external, number, 0, only->path);
		return static_content(m, only, &arg->content);
	}
	Cashet__Ref *ref = emit_take(m, 1, sizeof *ref);
	if (!ref)
		return ERR_FAILED;
	out->refs[out->ref_count++] = ref;
	return make_ref(m, input, number, out, ref);
}

int emit_inputs(struct emit *m, const struct spec_task *task, struct emit_inputs *out)
{
	size_t externs = 0;
	for (uint32_t i = 0; i < task->input_count; i++)
		for (uint32_t k = 0; k < task->inputs[i].count; k++)
			externs += task->inputs[i].members[k].kind == MEMBER_EXTERN;
	*out = (struct emit_inputs){.args = {.input_count = task->input_count}};
	out->args.inputs = emit_take(m, task->input_count, sizeof *out->args.inputs);
	out->refs = emit_take(m, task->input_count, sizeof *out->refs);
	out->externs = emit_take(m, externs, sizeof *out->externs);
	if (!out->args.inputs || !out->refs || !out->externs)
		return ERR_FAILED;
	for (uint32_t i = 0; i < task->input_count; i++) {
		int e = make_input(m, &task->inputs[i], i, out);
		if (e)
			return e;
	}
	return 0;
}

int emit_contents(struct emit *m, const struct spec_task *task, Cashet__Ref **refsp)
{
	struct emit_inputs unused = {
		0}; /* one member each: nothing of a group is an extern */
	Cashet__Ref *refs = emit_take(m, task->input_count, sizeof *refs);
	int e = refs ? 0 : ERR_FAILED;
	for (uint32_t i = 0; !e && i < task->input_count; i++) {
		const struct spec_member *member = task->inputs[i].members;
		if (member->kind == MEMBER_FILE)
			e = files_upload(member->item, m->builder, m->e);
		else if (member->kind == MEMBER_REF)
			e = make_ref(m, &task->inputs[i], i, &unused, &refs[i]);
	}
	*refsp = refs;
	return e;
}
