-- One HTML file of what run_report says: styles, charts and numbers are inside, nothing is fetched.
local host = require 'host'
local html = require 'report.html'
local run_charts = require 'report.run_charts'

local page = {}

local function asset(name) return assert(host.embedded('report/assets/' .. name), name) end

local function chart_html(chart)
  local head, rows, whole = run_charts.table(chart)
  local switch = chart.log and ('<label class="tools"><input type="checkbox" id="log-%s"> logarithmic</label>'):format(
    chart.id) or ''
  return ('<figure aria-labelledby="title-%s"><h3 id="title-%s">%s</h3>%s<div class="chart" id="chart-%s"></div>'
    .. '<details><summary>Table of %s</summary>%s<figcaption>%s</figcaption></details></figure>'):format(chart.id,
    chart.id, html.text(chart.title), switch, chart.id, html.text(chart.title:lower()),
    html.table(chart.title, head, rows), whole and 'all values' or 'some of the values, evenly chosen')
end

local function section(id, title, body)
  return ('<section id="%s"><h2>%s</h2>%s</section>'):format(id, html.text(title), body)
end

local function sections_of(report)
  local list = {}
  local function add(title, body)
    list[#list + 1] = { id = 'part-' .. title:lower():gsub('%W+', '-'), title = title, body = body }
  end
  if #report.charts > 0 then
    local charts = {}
    for i, chart in ipairs(report.charts) do charts[i] = chart_html(chart) end
    add('Curves', ('<div class="charts">%s</div>'):format(table.concat(charts, '\n')))
  end
  if #report.samples > 0 then
    local samples = {}
    for i = #report.samples, 1, -1 do
      local one = report.samples[i]
      samples[#samples + 1] = ('<details%s><summary>after update %d</summary><pre>%s%s</pre></details>'):format(
        i == #report.samples and ' open' or '', one.step or 0, html.text(one.prompt or ''), html.text(one.text or ''))
    end
    add('Samples', table.concat(samples, '\n'))
  end
  for _, own in ipairs(report.tables) do
    if #own[3] > 0 then add(own[1], html.table(own[1], own[2], own[3])) end
  end
  if #report.sources > 0 then
    local sources = {}
    for i, one in ipairs(report.sources) do
      sources[i] = ('<details><summary>%s</summary><pre>%s</pre></details>'):format(html.text(one.name),
        html.text(one.text))
    end
    add('Sources', table.concat(sources, '\n'))
  end
  return list
end

-- A closing tag would end the element that a script stands in.
local function as_script(text) return (text:gsub('</[sS][cC]', '<\\/sc')) end

---The page of a report as parts to be written one after the other.
---@param report table of report.run_report
---@return string[]
function page.parts(report)
  local library, own = as_script(asset 'echarts.min.js'), as_script(asset 'report.js')
  local list, links, bodies = sections_of(report), {}, {}
  for i, one in ipairs(list) do
    links[i] = ('<a href="#%s">%s</a>'):format(one.id, html.text(one.title))
    bodies[i] = section(one.id, one.title, one.body)
  end
  local charts = #report.charts > 0
  local policy = ("default-src 'none'; img-src data: blob:; style-src 'unsafe-inline'; script-src %s"):format(charts
    and html.script_hash(library) .. ' ' .. html.script_hash(own) or "'none'")
  local title = html.text(report.title)
  local parts = { '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">\n',
    ('<meta http-equiv="Content-Security-Policy" content="%s">\n'):format(policy),
    '<meta name="viewport" content="width=device-width, initial-scale=1">\n',
    ('<title>%s</title>\n<style>%s</style></head>\n<body>\n'):format(title, asset 'report.css'),
    ('<header><h1>%s</h1>\n<p class="verdict"><span class="state %s">%s</span> · %s</p>\n'):format(title,
      report.good and 'good' or 'bad', html.text(report.state), html.text(report.verdict)),
    ('<nav aria-label="Sections">%s</nav></header>\n<main>\n'):format(table.concat(links, ' ')),
    table.concat(bodies, '\n'), '\n</main>\n' }
  if charts then
    parts[#parts + 1] = ('<script type="application/json" id="numbers">%s</script>\n'):format(
      html.json { charts = report.charts })
    for _, script in ipairs { library, own } do parts[#parts + 1] = '<script>' .. script .. '</script>\n' end
  end
  parts[#parts + 1] = '</body></html>\n'
  return parts
end

return page
