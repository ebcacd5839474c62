'use strict'

// The first system's design, written as one would write it with Express 5 today: a rate limit counted in Redis, a
// page looked for in Redis, else read from the database and stored there; events checked in Redis and forgotten.
// What a page shows and how it looks is ours, so that both serve the same bytes.

const cluster = require('node:cluster')
const express = require('express')
const mysql = require('mysql2/promise')
const { createClient } = require('redis')

const PORT = Number(process.env.PORT)
const WORKERS = Number(process.env.WORKERS || 1)
const LIMIT = Number(process.env.RATE_LIMIT || 0) // requests a window; 0: no limit
const WINDOW_S = 60
const PAGE_S = 600
const EVENT_S = 86400

const COLUMNS = `p.id, p.name, c.name AS category, p.price_minor, p.created_at_us, p.pack_milli, p.pack_unit,
  p.unit_price_minor, p.stock_milli, p.organic, p.harvested_on, p.best_before, p.image_url, s.id AS seller_id,
  s.name AS seller_name, s.district, s.state, p.updated_at_us, p.version, p.name_key`
// In this order, or MariaDB begins with the few categories and sorts all of their products for a page.
const SOURCE = `products p STRAIGHT_JOIN sellers s ON s.id = p.seller_id
  STRAIGHT_JOIN categories c ON c.id = p.category_id`
const SORTS = { id: null, price: 'price_minor', name: 'name_key', createdAt: 'created_at_us' }
const BASES = { kg: 'kg', g: 'kg', litre: 'litre', ml: 'litre', piece: 'piece', dozen: 'piece', bunch: 'piece' }

const rupees = (minor) => (minor / 100).toFixed(2)
const quantity = (milli) => String(milli / 1000)
const instant = (us) =>
  new Date(Math.floor(us / 1000)).toISOString().slice(0, -1) + String(us % 1000).padStart(3, '0') + 'Z'

function item(row) {
  const base = BASES[row.pack_unit]
  return {
    id: row.id,
    name: row.name,
    category: row.category,
    price: rupees(row.price_minor),
    created_at: instant(row.created_at_us),
    currency: 'INR',
    pack: row.pack_unit ? { value: quantity(row.pack_milli), unit: row.pack_unit } : null,
    unitPrice: row.unit_price_minor === null ? null : { amount: rupees(row.unit_price_minor), per: base },
    stock: row.stock_milli === null ? null : { available: quantity(row.stock_milli), unit: base || 'piece' },
    organic: row.organic === 1,
    harvestedOn: row.harvested_on,
    bestBefore: row.best_before,
    imageUrl: row.image_url,
    seller: { id: row.seller_id, name: row.seller_name, district: row.district, state: row.state },
    updatedAt: instant(row.updated_at_us),
    version: row.version,
  }
}

function encoded(row, column) {
  const key = column && row[column]
  return Buffer.from(JSON.stringify([Buffer.isBuffer(key) ? key.toString('hex') : key, row.id])).toString('base64url')
}

function after(cursor, column) {
  const [key, id] = JSON.parse(Buffer.from(cursor, 'base64url'))
  return [column === 'name_key' ? Buffer.from(key, 'hex') : key, id]
}

function question({ cursor, category, search, minPrice, maxPrice, sort = 'id', limit = '20' }) {
  const column = SORTS[sort]
  const where = ['p.deleted_at_us IS NULL']
  const values = []
  if (category) (where.push('p.category_id = (SELECT id FROM categories WHERE name = ?)'), values.push(category))
  if (search) (where.push('p.name LIKE ?'), values.push(`${search}%`))
  if (minPrice) (where.push('p.price_minor >= ?'), values.push(Math.round(minPrice * 100)))
  if (maxPrice) (where.push('p.price_minor <= ?'), values.push(Math.round(maxPrice * 100)))
  if (cursor) {
    const [key, id] = after(cursor, column)
    if (column) {
      where.push(`(p.${column} > ? OR (p.${column} = ? AND p.id > ?))`)
      values.push(key, key, id)
    } else (where.push('p.id > ?'), values.push(id))
  }
  const order = column ? `p.${column}, p.id` : 'p.id'
  const rows = Math.min(Number(limit) || 20, 100)
  const sql = `SELECT ${COLUMNS} FROM ${SOURCE} WHERE ${where.join(' AND ')} ORDER BY ${order} LIMIT ${rows + 1}`
  return { sql, values, rows, column }
}

async function main() {
  const db = mysql.createPool({ uri: process.env.DATABASE_URL, connectionLimit: 10, dateStrings: true })
  const redis = createClient({ url: process.env.REDIS_URL })
  await redis.connect()
  const app = express()

  app.use(async (req, res, next) => {
    if (!LIMIT) return next()
    const key = `limit:${req.ip}`
    const count = await redis.incr(key)
    if (count === 1) await redis.expire(key, WINDOW_S)
    res.set('RateLimit-Limit', String(LIMIT))
    res.set('RateLimit-Remaining', String(Math.max(0, LIMIT - count)))
    if (count > LIMIT) return res.status(429).send('Too many requests')
    next()
  })

  app.get('/api/products', async (req, res) => {
    const key = `page:${req.originalUrl}`
    const cached = await redis.get(key)
    if (cached) return res.json(JSON.parse(cached))
    const { sql, values, rows, column } = question(req.query)
    const [found] = await db.execute(sql, values)
    const hasMore = found.length > rows
    const shown = hasMore ? found.slice(0, rows) : found
    const page = {
      data: shown.map(item),
      nextCursor: hasMore ? encoded(shown[shown.length - 1], column) : null,
      prevCursor: null,
      hasMore,
    }
    await redis.setEx(key, PAGE_S, JSON.stringify(page))
    res.json(page)
  })

  app.get('/api/products/:id', async (req, res) => {
    const key = `page:${req.originalUrl}`
    const cached = await redis.get(key)
    if (cached) return res.json(JSON.parse(cached))
    const [found] = await db.execute(`SELECT ${COLUMNS} FROM ${SOURCE} WHERE p.id = ?`, [req.params.id])
    if (!found.length) return res.status(404).json({ error: 'Not found' })
    const product = item(found[0])
    await redis.setEx(key, PAGE_S, JSON.stringify(product))
    res.json(product)
  })

  app.get('/auth/token', async (_req, res) => {
    const token = await redis.get('oauth:token')
    if (!token) return res.status(503).json({ error: 'No token' })
    res.json({ token })
  })

  app.post('/webhook/order-update', express.json(), async (req, res) => {
    const { eventId } = req.body
    if (!eventId) return res.status(400).json({ error: 'Missing eventId' })
    const fresh = await redis.set(`webhook:${eventId}`, '1', { NX: true, EX: EVENT_S })
    res.json({ status: fresh ? 'processed' : 'duplicate ignored' })
  })

  app.listen(PORT, '127.0.0.1')
}

if (WORKERS > 1 && cluster.isPrimary) for (let each = 0; each < WORKERS; each++) cluster.fork()
else main()
