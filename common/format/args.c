/* args.c - the arguments of function.h: what varies between tasks of one function. */
#include "common/format/function.h"

#include "common/format/read.h"
#include "common/fs.h"

#include <stdlib.h>
#include <string.h>

#define ARGS_SCHEME 1

static void input_fini(struct args_input *input)
{
	free(input->label);
	for (size_t i = 0; input->names && i < input->name_count; i++)
		free(input->names[i]);
	free(input->names);
}

void args_fini(struct args *a)
{
	if (!a)
		return;
	for (size_t i = 0; a->values && i < a->value_count; i++)
		value_fini(&a->values[i]);
	free(a->values);
	for (size_t i = 0; a->inputs && i < a->input_count; i++)
		input_fini(&a->inputs[i]);
	free(a->inputs);
	call_args_fini(a->call);
	free(a->call);
	*a = (struct args){0};
}

static void encode_input(struct buf *out, struct args_input *input)
{
	cbor_add_array(out, 2);
	if (input->name_is_array)
		cbor_add_array(out, input->name_count);
	for (size_t i = 0; i < input->name_count; i++)
		cbor_add_text(out, input->names[i]);
	cbor_add_bytes(out, &input->content, CONTENT_SIZE);
	input->offset = out->size - CONTENT_SIZE;
}

void args_encode(struct buf *out, struct args *a)
{
	if (a->call) {
		if (call_args_encode(out, a->call))
			out->failed = true;
		return;
	}
	cbor_add_array(out, 3);
	cbor_add_uint(out, ARGS_SCHEME);
	cbor_add_array(out, a->value_count);
	for (size_t i = 0; i < a->value_count; i++)
		value_encode(out, &a->values[i]);
	cbor_add_array(out, a->input_count);
	for (size_t i = 0; i < a->input_count; i++)
		encode_input(out, &a->inputs[i]);
}

static int decode_values(struct cbor_reader *r, struct args *a)
{
	uint64_t count;
	if (cbor_read_array(r, &count) ||
	    !(a->values = read_calloc(count, sizeof *a->values)))
		return 1;
	for (; a->value_count < count; a->value_count++)
		if (value_decode(r, &a->values[a->value_count]))
			return 1;
	return 0;
}

/* decode_file_name() - one part of a path: the worker makes a file of this name. */
static int decode_file_name(struct cbor_reader *r, struct args_input *input)
{
	char *name = read_strdup(r);
	if (!name)
		return 1;
	input->names[input->name_count++] = name;
	return !fs_path_is_inside(name) || strchr(name, '/');
}

static int decode_file_names(struct cbor_reader *r, struct args_input *input)
{
	enum cbor_type type;
	uint64_t count = 1;
	if (cbor_peek_type(r, &type))
		return 1;
	input->name_is_array = type == CBOR_ARRAY;
	if (input->name_is_array && cbor_read_array(r, &count))
		return 1;
	if (!(input->names = read_calloc(count, sizeof *input->names)))
		return 1;
	while (input->name_count < count)
		if (decode_file_name(r, input))
			return 1;
	return 0;
}

static int decode_input(struct cbor_reader *r, const uint8_t *start,
			struct args_input *input)
{
	const uint8_t *content;
	size_t size;
	if (read_array_of(r, 2) || decode_file_names(r, input) ||
	    cbor_read_bytes(r, &content, &size) || size != CONTENT_SIZE)
		return 1;
	memcpy(&input->content, content, CONTENT_SIZE);
	input->offset = (size_t)(content - start);
	return !content_is_argument(input->content.type);
}

static int decode_inputs(struct cbor_reader *r, const uint8_t *start, struct args *a)
{
	uint64_t count;
	if (cbor_read_array(r, &count) ||
	    !(a->inputs = read_calloc(count, sizeof *a->inputs)))
		return 1;
	while (a->input_count < count)
		if (decode_input(r, start, &a->inputs[a->input_count++]))
			return 1;
	return 0;
}

/* ---- of a call: the references and files as inputs */

static int count_input(void *arg, const char *label, struct arg *value)
{
	(void)label;
	(void)value;
	++*(size_t *)arg;
	return 0;
}

static int add_input(void *arg, const char *label, struct arg *value)
{
	struct args *a = arg;
	struct args_input *input = &a->inputs[a->input_count++];
	input->content = value->content;
	input->offset = value->offset;
	input->label = strdup(label);
	input->names = calloc(1, sizeof *input->names);
	if (!input->label || !input->names)
		return 1;
	input->name_count = 1;
	input->names[0] = strdup(value->type == ARG_FILE ? value->data : "value");
	return !input->names[0];
}

static int decode_call(const void *data, size_t size, struct args *out)
{
	CLEANUP(args_fini) struct args a = {0};
	size_t count = 0;
	if (!(a.call = calloc(1, sizeof *a.call)) || call_args_decode(data, size, a.call))
		return 1;
	call_args_each(a.call, count_input, &count);
	if (!(a.inputs = calloc(count + 1, sizeof *a.inputs)) ||
	    call_args_each(a.call, add_input, &a))
		return 1;
	*out = a;
	a = (struct args){0};
	return 0;
}

int args_decode(const void *data, size_t size, struct args *out)
{
	if (call_args_begin(data, size))
		return decode_call(data, size, out);
	CLEANUP(args_fini) struct args a = {0};
	struct cbor_reader r;
	uint64_t scheme;
	cbor_reader_init(&r, data, size);
	if (read_array_of(&r, 3) || cbor_read_uint(&r, &scheme) ||
	    scheme != ARGS_SCHEME || decode_values(&r, &a) ||
	    decode_inputs(&r, data, &a) || !cbor_done(&r))
		return 1;
	*out = a;
	a = (struct args){0};
	return 0;
}

/* The head of a placeholder: a byte string of CONTENT_SIZE bytes. The inputs of a command come last, and
 * 0x80 is no input; but it may also be the last byte of a digest. */
bool args_may_have_inputs(const void *data, size_t size)
{
	static const uint8_t head[] = {0x58, CONTENT_SIZE};
	const uint8_t *bytes = data;
	const size_t last = CONTENT_SIZE + sizeof head;
	if (size < last)
		return false;
	if (call_args_begin(data, size))
		return memmem(data, size, head, sizeof head) != NULL;
	return bytes[size - 1] != 0x80 ||
	       memcmp(bytes + size - last, head, sizeof head) == 0;
}
