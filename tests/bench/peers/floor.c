/* The floor: the reference quoter, both books, orders in their queues and every latency, in plain C and with
   nothing else. What an engine takes beyond this, it takes for being one.

   cc -O3 -march=native -shared -fPIC floor.c; called by c_floor.py. */
#include <stdint.h>
#include <stdlib.h>

typedef int64_t i64;

enum { BID, ASK, BUY, SELL, SNAPSHOT = 5, KIND = 0x7f };
enum { ORDER, CANCEL, ACCEPTED, GONE, FILLED };
enum { NONE, SENT, RESTS };
enum { RING = 64, FAR = 1 << 29, HALF_SPREAD = 10, REQUOTE = 3, MOST_ORDERS = 20 };

typedef struct { i64 at_ns, id; int what, side, at, lots; } Message;
typedef struct { Message slots[RING]; i64 head, tail; } Ring;
typedef struct { int *bids, *asks; i64 row; int bid, ask; } Book;
typedef struct { int at, leaves; i64 ahead, id; } Resting; /* `at` out of reach: none */
typedef struct { int state, at, leaves; i64 id; } Own;
typedef struct { i64 recv_ns; int side, at, lots; } Fill;

typedef struct {
    i64 rows;
    const i64 *exch_ns, *recv_ns;
    const uint8_t *kind;
    const int *tick, *lots;
    int base;
} Tape;

typedef struct { Book book; Resting bid, ask; Ring requests, answers; i64 answer_ns; } Venue;

static void send(Ring *ring, i64 at_ns, int what, i64 id, int side, int at, int lots)
{
    ring->slots[ring->tail++ & (RING - 1)] = (Message){at_ns, id, what, side, at, lots};
}

static void gone(Resting *order, int side) { order->at = side > 0 ? -FAR : FAR; }

static void fill(Venue *v, Resting *order, int side, int lots, i64 now_ns)
{
    send(&v->answers, now_ns + v->answer_ns, FILLED, order->id, side, order->at, lots);
    order->leaves -= lots;
    if (!order->leaves) gone(order, side);
}

static void trade_at(Venue *v, Resting *order, int side, int lots, i64 now_ns)
{
    i64 beyond = lots - order->ahead;
    if (beyond > 0) {
        order->ahead = 0;
        fill(v, order, side, beyond < order->leaves ? (int)beyond : order->leaves, now_ns);
    } else
        order->ahead = -beyond;
}

static void request(Venue *v, const Message *m)
{
    Resting *order = m->side > 0 ? &v->bid : &v->ask;
    int what = GONE;
    if (m->what == ORDER) {
        int takes = m->side > 0 ? m->at >= v->book.ask : m->at <= v->book.bid;
        if (!takes) {
            *order = (Resting){m->at, m->lots, (m->side > 0 ? v->book.bids : v->book.asks)[m->at], m->id};
            what = ACCEPTED;
        }
    } else if (order->id == m->id)
        gone(order, m->side);
    send(&v->answers, m->at_ns + v->answer_ns, what, m->id, m->side, m->at, m->lots);
}

/* One level of a book. A level that crosses the other side removes nothing there; the tape's own rows will. */
static inline void set_bid(Book *b, int at, int lots)
{
    b->bids[at] = lots;
    if (lots) {
        if (at > b->bid) {
            b->bid = at;
            if (at >= b->ask) for (b->ask = at + 1; !b->asks[b->ask];) b->ask++;
        }
    } else if (at == b->bid)
        do b->bid--; while (!b->bids[b->bid]);
}

static inline void set_ask(Book *b, int at, int lots)
{
    b->asks[at] = lots;
    if (lots) {
        if (at < b->ask) {
            b->ask = at;
            if (at <= b->bid) for (b->bid = at - 1; !b->bids[b->bid];) b->bid--;
        }
    } else if (at == b->ask)
        do b->ask++; while (!b->asks[b->ask]);
}

static inline __attribute__((always_inline)) void venue_until(Venue *v, const Tape *t, i64 until_ns)
{
    Book b = v->book; /* in registers while rows pass */
    for (;;) {
        i64 stop_ns = until_ns;
        const Message *m = 0;
        if (v->requests.head < v->requests.tail) {
            m = &v->requests.slots[v->requests.head & (RING - 1)];
            if (m->at_ns <= until_ns) stop_ns = m->at_ns; else m = 0;
        }
        for (; b.row < t->rows && t->exch_ns[b.row] <= stop_ns; b.row++) {
            int kind = t->kind[b.row] & KIND, at = t->tick[b.row] - t->base, lots = t->lots[b.row];
            if (kind == BID) {
                set_bid(&b, at, lots);
                if (at == v->bid.at && v->bid.ahead > lots) v->bid.ahead = lots;
                if (v->ask.at <= b.bid) fill(v, &v->ask, -1, v->ask.leaves, t->exch_ns[b.row]);
            } else if (kind == ASK) {
                set_ask(&b, at, lots);
                if (at == v->ask.at && v->ask.ahead > lots) v->ask.ahead = lots;
                if (v->bid.at >= b.ask) fill(v, &v->bid, 1, v->bid.leaves, t->exch_ns[b.row]);
            } else if (kind == BUY && v->ask.at <= at) {
                if (v->ask.at < at) fill(v, &v->ask, -1, v->ask.leaves, t->exch_ns[b.row]);
                else trade_at(v, &v->ask, -1, lots, t->exch_ns[b.row]);
            } else if (kind == SELL && v->bid.at >= at) {
                if (v->bid.at > at) fill(v, &v->bid, 1, v->bid.leaves, t->exch_ns[b.row]);
                else trade_at(v, &v->bid, 1, lots, t->exch_ns[b.row]);
            }
        }
        v->book = b;
        if (!m) return;
        v->requests.head++;
        request(v, m);
    }
}

static inline __attribute__((always_inline)) void local_until(Book *book, const Tape *t, i64 until_ns)
{
    Book b = *book;
    for (; b.row < t->rows && t->recv_ns[b.row] <= until_ns; b.row++) {
        int kind = t->kind[b.row] & KIND, at = t->tick[b.row] - t->base, lots = t->lots[b.row];
        if (kind == BID) set_bid(&b, at, lots);
        else if (kind == ASK) set_ask(&b, at, lots);
    }
    *book = b;
}

static int open_book(Book *b, int span)
{
    b->bids = calloc(span, sizeof(int)), b->asks = calloc(span, sizeof(int));
    if (!b->bids || !b->asks) return 0;
    b->bids[0] = b->asks[span - 1] = 1; /* ends of every search */
    b->bid = 0, b->ask = span - 1, b->row = 0;
    return 1;
}

static i64 floor_div(i64 a, i64 b) { return a / b - (a % b < 0); }

/* `counts`: ticks, orders, cancels, position in lots, fills. Returns 0, or 1 without memory. */
int play(Tape t, int span, i64 tick_ns, i64 order_ns, i64 answer_ns, int order_lots, i64 *counts, Fill *fills)
{
    Venue v = {.answer_ns = answer_ns};
    Book local;
    if (!open_book(&v.book, span) || !open_book(&local, span)) return 1;
    gone(&v.bid, 1), gone(&v.ask, -1);
    Own own[2] = {{NONE}, {NONE}};
    i64 position = 0, limit = MOST_ORDERS * order_lots, scale = 2 * order_lots, half = HALF_SPREAD * scale;
    i64 end_ns = t.recv_ns[t.rows - 1];
    for (i64 now_ns = t.exch_ns[0] + tick_ns; now_ns < end_ns; now_ns += tick_ns, counts[0]++) {
        venue_until(&v, &t, now_ns);
        local_until(&local, &t, now_ns);
        while (v.answers.head < v.answers.tail) {
            const Message *m = &v.answers.slots[v.answers.head & (RING - 1)];
            if (m->at_ns > now_ns) break;
            v.answers.head++;
            Own *o = &own[m->side < 0];
            if (m->what == FILLED) {
                fills[counts[4]++] = (Fill){m->at_ns, m->side, m->at + t.base, m->lots};
                position += m->side * m->lots, o->leaves -= m->lots;
                if (!o->leaves) o->state = NONE;
            } else if (o->id == m->id && o->leaves)
                o->state = m->what == ACCEPTED ? RESTS : NONE;
        }
        i64 centre = (i64)(local.bid + local.ask + 2 * t.base) * order_lots - 2 * position;
        i64 buy_at = floor_div(centre - half, scale) - t.base, sell_at = -floor_div(-centre - half, scale) - t.base;
        int want[2] = {(int)(buy_at < local.bid ? buy_at : local.bid), (int)(sell_at > local.ask ? sell_at : local.ask)};
        int wanted[2] = {position < limit, position > -limit};
        for (int i = 0; i < 2; i++) {
            Own *o = &own[i];
            if (o->state == RESTS) {
                if (wanted[i] && abs(o->at - want[i]) <= REQUOTE) continue;
                send(&v.requests, now_ns + order_ns, CANCEL, o->id, i ? -1 : 1, o->at, 0);
                counts[2]++;
                o->state = SENT;
            } else if (o->state == NONE && wanted[i]) {
                *o = (Own){SENT, want[i], order_lots, ++counts[1]};
                send(&v.requests, now_ns + order_ns, ORDER, o->id, i ? -1 : 1, o->at, order_lots);
            }
        }
    }
    counts[3] = position;
    free(v.book.bids), free(v.book.asks), free(local.bids), free(local.asks);
    return 0;
}
