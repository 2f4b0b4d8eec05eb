/* credit.c - see credit.h. */
#include "worker/credit.h"

void credit_ended(struct credit *c, uint64_t duration_ns, bool failed)
{
	c->failing = failed;
	if (duration_ns == 0)
		duration_ns = 1;
	if (c->mean_ns == 0)
		c->mean_ns = duration_ns;
	else /* one eighth of the new: a dozen tasks change the opinion */
		c->mean_ns = c->mean_ns - c->mean_ns / 8 + duration_ns / 8;
	if (c->mean_ns == 0)
		c->mean_ns = 1;
}

uint64_t credit_mean(const struct credit *c, uint64_t running, uint64_t age_ns)
{
	uint64_t age_mean_ns = running ? age_ns / running : 0;
	return age_mean_ns > c->mean_ns ? age_mean_ns : c->mean_ns;
}

uint32_t credit_wanted(const struct credit *c, uint64_t slots, uint64_t running,
		       uint64_t age_ns)
{
	uint64_t mean_ns = credit_mean(c, running, age_ns);
	if (c->failing)
		return 0;
	if (mean_ns < 1000) /* nothing known yet, or faster than anything can be */
		mean_ns = mean_ns ? 1000 : CREDIT_AHEAD_NS;
	if (slots > CREDIT_MAX)
		slots = CREDIT_MAX;
	uint64_t wanted = CREDIT_AHEAD_NS * slots / mean_ns;
	return wanted > CREDIT_MAX ? CREDIT_MAX : (uint32_t)wanted;
}
