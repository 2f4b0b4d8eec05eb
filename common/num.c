/* num.c - see num.h. Nothing here depends on the locale of the process, which for libcashet is
 * someone else's: the decimal point of printf() is skipped, never printed. */
#include "common/num.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- doubles */

/* A decimal number: d.ddd... times ten to the power of exponent10; the digits without the point. */
struct decimal {
	char digits[24];
	int count;
	int exponent10;
};

static void set_digits(struct decimal *d, uint64_t digits, int exponent10_of_last)
{
	char text[24];
	int count = snprintf(text, sizeof text, "%" PRIu64, digits);
	d->exponent10 = exponent10_of_last + count - 1;
	while (count > 1 && text[count - 1] == '0')
		count--;
	memcpy(d->digits, text, (size_t)count);
	d->count = count;
}

/* quick_decimal() - numbers that people write have few decimals: find the fewest with which a
 * whole number below 10^15 divided by a power of ten is @value. Both are exact as doubles, so the
 * division is rounded once, as reading the text would be; and with at most 15 digits there is no
 * other text as short. Return: false if @value is not such a number. */
static bool quick_decimal(double value, struct decimal *d)
{
	static const double powers[] = {1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9};
	if (value < 1e-6 || value >= 1e15)
		return false;
	for (int i = 0; i < (int)ARRAY_LEN(powers); i++) {
		double scaled = value * powers[i];
		if (scaled >= 1e15)
			return false;
		uint64_t whole = (uint64_t)(scaled + 0.5);
		if ((double)whole / powers[i] == value) {
			set_digits(d, whole, -i);
			return true;
		}
	}
	return false;
}

static bool reads_back(double value, uint64_t digits, int exponent10_of_last)
{
	char text[40];
	snprintf(text, sizeof text, "%" PRIu64 "e%d", digits, exponent10_of_last);
	return strtod(text, NULL) == value;
}

/* shortest_decimal() - try precisions upwards. A number of normal size with 15 digits or fewer is
 * found at 15 (zeros are then cut); a subnormal one may need fewer. Below a power of two the
 * doubles are twice as dense, so there the nearest text may fail where the next one up works. */
static void shortest_decimal(double value, struct decimal *d)
{
	int unused;
	bool power_of_two = frexp(value, &unused) == 0.5;
	for (int precision = value < 2.3e-308 ? 1 : 15; precision <= 17; precision++) {
		char text[40];
		snprintf(text, sizeof text, "%.*e", precision - 1, value);
		uint64_t digits = 0;
		const char *at = text;
		for (; *at != 'e'; at++)
			if (*at >= '0' && *at <= '9')
				digits = 10 * digits + (uint64_t)(*at - '0');
		int last = atoi(at + 1) - (precision - 1);
		if (!reads_back(value, digits, last)) {
			if (!power_of_two || !reads_back(value, digits + 1, last))
				continue;
			digits++;
		}
		set_digits(d, digits, last);
		return;
	}
	assert(false && "17 digits identify every double");
}

/* Python's repr(): an exponent below 1e-4 and from 1e16 on, else the point, with a digit after it. */
static void lay_out(char *out, const struct decimal *d)
{
	const char *digits = d->digits;
	int count = d->count, point = d->exponent10 + 1;
	if (d->exponent10 < -4 || d->exponent10 >= 16) {
		*out++ = *digits++;
		if (count > 1)
			*out++ = '.';
		memcpy(out, digits, (size_t)count - 1);
		out += count - 1;
		unsigned exponent = (unsigned)abs(d->exponent10); /* 324 at most */
		*out++ = 'e';
		*out++ = d->exponent10 < 0 ? '-' : '+';
		if (exponent >= 100)
			*out++ = (char)('0' + exponent / 100);
		*out++ = (char)('0' + exponent / 10 % 10);
		*out++ = (char)('0' + exponent % 10);
		*out = '\0';
		return;
	}
	if (point <= 0) {
		*out++ = '0';
		*out++ = '.';
		memset(out, '0', (size_t)-point);
		out += -point;
		memcpy(out, digits, (size_t)count);
		out[count] = '\0';
		return;
	}
	for (int i = 0; i < point; i++)
		*out++ = i < count ? digits[i] : '0';
	*out++ = '.';
	if (count > point) {
		memcpy(out, digits + point, (size_t)(count - point));
		out += count - point;
	} else {
		*out++ = '0';
	}
	*out = '\0';
}

char *num_format_double(char *out, double value)
{
	char *at = out;
	if (isnan(value))
		return strcpy(out, "nan");
	if (signbit(value))
		*at++ = '-';
	value = fabs(value);
	struct decimal d;
	if (isinf(value)) {
		strcpy(at, "inf");
	} else if (value == 0) {
		strcpy(at, "0.0");
	} else {
		if (!quick_decimal(value, &d))
			shortest_decimal(value, &d);
		lay_out(at, &d);
	}
	return out;
}

/* ---- amounts with units */

/* take_amount() - digits, perhaps a point and digits, times @scale is known only after the unit, so
 * both parts are kept: whole, and a fraction in billionths (further digits must be zero). */
static int take_amount(const char **textp, uint64_t *whole, uint64_t *billionths)
{
	const char *at = *textp;
	if (*at < '0' || *at > '9')
		return 1;
	*whole = *billionths = 0;
	for (; *at >= '0' && *at <= '9'; at++)
		if (__builtin_mul_overflow(*whole, 10, whole) ||
		    __builtin_add_overflow(*whole, (uint64_t)(*at - '0'), whole))
			return 1;
	if (*at == '.') {
		at++;
		if (*at < '0' || *at > '9')
			return 1;
		uint64_t place = NS_PER_S / 10;
		for (; *at >= '0' && *at <= '9'; at++, place /= 10) {
			if (!place && *at != '0')
				return 1;
			*billionths += place * (uint64_t)(*at - '0');
		}
	}
	*textp = at;
	return 0;
}

/* scale_amount() - add (whole + billionths) * unit to *sum, rounded to nearest. */
static int scale_amount(uint64_t whole, uint64_t billionths, uint64_t unit, uint64_t *sum)
{
	unsigned __int128 part = (unsigned __int128)billionths * unit + NS_PER_S / 2;
	unsigned __int128 total =
		(unsigned __int128)whole * unit + part / NS_PER_S + *sum;
	if (total > UINT64_MAX)
		return 1;
	*sum = (uint64_t)total;
	return 0;
}

struct unit {
	const char *name;
	uint64_t size;
};

static const struct unit duration_units[] = {
	{"w", 7 * 86400 * NS_PER_S}, {"d", 86400 * NS_PER_S}, {"h", 3600 * NS_PER_S},
	{"m", 60 * NS_PER_S},	     {"s", NS_PER_S},	      {"ms", NS_PER_MS},
};

static const struct unit size_units[] = {
	{"B", 1},
	{"k", 1000},
	{"K", 1000},
	{"M", 1000000},
	{"G", 1000000000},
	{"T", 1000000000000},
	{"kB", 1000},
	{"KB", 1000},
	{"MB", 1000000},
	{"GB", 1000000000},
	{"TB", 1000000000000},
	{"Ki", 1ull << 10},
	{"Mi", 1ull << 20},
	{"Gi", 1ull << 30},
	{"Ti", 1ull << 40},
	{"KiB", 1ull << 10},
	{"MiB", 1ull << 20},
	{"GiB", 1ull << 30},
	{"TiB", 1ull << 40},
};

static const struct unit *take_unit(const struct unit *units, size_t count,
				    const char **textp)
{
	size_t size = 0;
	while (((*textp)[size] | 32) >= 'a' && ((*textp)[size] | 32) <= 'z')
		size++;
	for (size_t i = 0; i < count; i++) {
		if (strlen(units[i].name) != size || memcmp(units[i].name, *textp, size))
			continue;
		*textp += size;
		return &units[i];
	}
	return NULL;
}

int num_parse_duration(const char *text, uint64_t *ns)
{
	uint64_t sum = 0, whole, billionths;
	const struct unit *before = NULL;
	do {
		if (take_amount(&text, &whole, &billionths))
			return 1;
		if (!*text && !before) { /* a number alone is seconds */
			if (scale_amount(whole, billionths, NS_PER_S, &sum))
				return 1;
			break;
		}
		const struct unit *unit =
			take_unit(duration_units, ARRAY_LEN(duration_units), &text);
		/* Larger units first and each once: 30m1h is more likely a slip. */
		if (!unit || (before && unit <= before))
			return 1;
		if (scale_amount(whole, billionths, unit->size, &sum))
			return 1;
		before = unit;
	} while (*text);
	*ns = sum;
	return 0;
}

int num_parse_size(const char *text, uint64_t *bytes)
{
	uint64_t sum = 0, whole, billionths, size = 1;
	if (take_amount(&text, &whole, &billionths))
		return 1;
	if (*text == ' ' && text[1])
		text++;
	if (*text) {
		const struct unit *unit =
			take_unit(size_units, ARRAY_LEN(size_units), &text);
		if (!unit || *text)
			return 1;
		size = unit->size;
	}
	if (size == 1 && billionths)
		return 1;
	if (scale_amount(whole, billionths, size, &sum))
		return 1;
	*bytes = sum;
	return 0;
}

void num_add_duration(struct buf *b, uint64_t ns)
{
	/* Below a minute three digits are worth reading; above, the two largest units. What is
	 * printed is rounded first, so that 59.999 s is 1m and not 60s. */
	if (ns < 995 * NS_PER_MS) {
		uint64_t us = (ns + 500) / 1000;
		if (us >= 99950)
			buf_printf(b, "%" PRIu64 "ms", (us + 500) / 1000);
		else if (us >= 9995)
			buf_printf(b, "%" PRIu64 ".%" PRIu64 "ms", (us + 50) / 1000,
				   (us + 50) / 100 % 10);
		else if (us)
			buf_printf(b, "%" PRIu64 ".%02" PRIu64 "ms", (us + 5) / 1000,
				   (us + 5) / 10 % 100);
		else
			buf_add_str(b, "0s");
		return;
	}
	uint64_t hundredths = ns / 10000000 + (ns % 10000000 >= 5000000);
	if (hundredths < 6000) {
		uint64_t rest = hundredths % 100;
		buf_printf(b, "%" PRIu64, hundredths / 100);
		if (rest)
			buf_printf(b, rest % 10 ? ".%02" PRIu64 : ".%" PRIu64,
				   rest % 10 ? rest : rest / 10);
		buf_add_byte(b, 's');
		return;
	}
	static const struct {
		const char *name;
		uint64_t seconds;
	} units[] = {{"d", 86400}, {"h", 3600}, {"m", 60}, {"s", 1}};
	uint64_t seconds = ns / NS_PER_S + (ns % NS_PER_S >= NS_PER_S / 2);
	size_t first = 0;
	while (seconds < units[first].seconds)
		first++;
	uint64_t step = units[first + 1].seconds;
	seconds = (seconds + step / 2) / step * step;
	if (first > 0 && seconds >= units[first - 1].seconds)
		first--;
	buf_printf(b, "%" PRIu64 "%s", seconds / units[first].seconds, units[first].name);
	uint64_t second = seconds % units[first].seconds / units[first + 1].seconds;
	if (second)
		buf_printf(b, "%" PRIu64 "%s", second, units[first + 1].name);
}

void num_add_size(struct buf *b, uint64_t bytes)
{
	static const char *const names[] = {"B",   "KiB", "MiB", "GiB",
					    "TiB", "PiB", "EiB"};
	size_t unit = 0;
	uint64_t scale = 1;
	while (unit + 1 < ARRAY_LEN(names) && bytes / scale >= 1024) {
		scale <<= 10;
		unit++;
	}
	/* In tenths; 1023.96 KiB is 1 MiB. */
	uint64_t tenths = bytes / scale * 10 + ((bytes % scale) * 10 + scale / 2) / scale;
	if (tenths >= 10240 && unit + 1 < ARRAY_LEN(names)) {
		tenths = 10;
		unit++;
	}
	buf_printf(b, "%" PRIu64, tenths / 10);
	if (tenths % 10 && tenths < 1000)
		buf_printf(b, ".%" PRIu64, tenths % 10);
	buf_printf(b, " %s", names[unit]);
}
