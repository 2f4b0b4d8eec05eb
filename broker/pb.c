/* pb.c - see pb.h. */
#include "broker/pb.h"

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

static bool skip(const uint8_t **at, const uint8_t *end, size_t size)
{
	if ((size_t)(end - *at) < size)
		return false;
	*at += size;
	return true;
}

bool pb_find(const uint8_t **at, const uint8_t *end, unsigned field, const uint8_t **data,
	     size_t *size)
{
	uint64_t tag, value;
	while (*at < end && get_varint(at, end, &tag)) {
		switch (tag & 7) {
		case PB_VARINT:
			if (!get_varint(at, end, &value))
				return false;
			break;
		case PB_FIXED64:
			if (!skip(at, end, 8))
				return false;
			break;
		case 5:
			if (!skip(at, end, 4))
				return false;
			break;
		case PB_BYTES:
			if (!get_varint(at, end, &value) || value > (size_t)(end - *at))
				return false;
			if (tag >> 3 == field) {
				*data = *at;
				*size = value;
				*at += value;
				return true;
			}
			*at += value;
			break;
		default:
			return false;
		}
	}
	return false;
}
