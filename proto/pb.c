/* pb.c - see pb.h. */
#include "proto/pb.h"

static bool get_varint(const uint8_t **at, const uint8_t *end, uint64_t *value)
{
	*value = 0;
	for (unsigned shift = 0; *at < end && shift < 64; shift += 7) {
		uint8_t byte = *(*at)++;
		*value |= (uint64_t)(byte & 0x7f) << shift;
		if (!(byte & 0x80))
			return true;
	}
	return false;
}

static bool get_fixed(const uint8_t **at, const uint8_t *end, size_t size,
		      uint64_t *value)
{
	if ((size_t)(end - *at) < size)
		return false;
	*value = 0;
	for (size_t i = 0; i < size; i++)
		*value |= (uint64_t)(*at)[i] << (8 * i);
	*at += size;
	return true;
}

bool pb_next(const uint8_t **at, const uint8_t *end, struct pb_field *field)
{
	const uint8_t *here = *at;
	uint64_t tag, size;
	if (!get_varint(&here, end, &tag))
		return false;
	field->number = (unsigned)(tag >> 3);
	field->type = (unsigned)(tag & 7);
	bool good = false;
	switch (field->type) {
	case PB_VARINT:
		good = get_varint(&here, end, &field->value);
		break;
	case PB_FIXED64:
		good = get_fixed(&here, end, 8, &field->value);
		break;
	case PB_FIXED32:
		good = get_fixed(&here, end, 4, &field->value);
		break;
	case PB_BYTES:
		good = get_varint(&here, end, &size) && size <= (size_t)(end - here);
		if (good) {
			field->data = here;
			field->size = size;
			here += size;
		}
		break;
	default:
		break;
	}
	if (good)
		*at = here;
	return good;
}

bool pb_find(const uint8_t **at, const uint8_t *end, unsigned number,
	     struct pb_field *field)
{
	while (pb_next(at, end, field)) {
		if (field->number == number && field->type == PB_BYTES)
			return true;
	}
	return false;
}
