// Ids of events, made where the event happens and once only: UUIDs of version 7 (RFC 9562), so that
// sending an event again makes a duplicate and no second event.

import { randomFillSync } from 'node:crypto'

const RANDOM_BYTES = 10
// Asking the system for every id costs more than the rest of an event.
const pool = Buffer.alloc(RANDOM_BYTES * 256)
let used = pool.length

export function eventId(millis) {
  if (used === pool.length) {
    randomFillSync(pool)
    used = 0
  }
  const time = millis.toString(16).padStart(12, '0')
  const random = pool.toString('hex', used, used + RANDOM_BYTES)
  used += RANDOM_BYTES
  const variant = (8 | (parseInt(random[3], 16) & 3)).toString(16)
  return (
    `${time.slice(0, 8)}-${time.slice(8)}-7${random.slice(0, 3)}` +
    `-${variant}${random.slice(4, 7)}-${random.slice(7, 19)}`
  )
}
