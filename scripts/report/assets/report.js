// Draws the charts of a report from the JSON beside them. Every chart has its table in the page, so that nothing is lost
// where scripts do not run.
(function () {
  'use strict';
  var page = JSON.parse(document.getElementById('numbers').textContent);
  var dark = window.matchMedia('(prefers-color-scheme: dark)');
  var still = window.matchMedia('(prefers-reduced-motion: reduce)');
  var drawn = [];

  // What is not finite leaves a gap.
  function drawable(point) { return [point[0], typeof point[1] === 'number' ? point[1] : null]; }

  // Exponential mean with its bias at the beginning taken out, over points at any distance.
  function smoothed(points) {
    var weight = 0, sum = 0, decay = Math.max(0, 1 - 20 / Math.max(20, points.length));
    return points.map(function (point) {
      if (typeof point[1] === 'number') { sum = decay * sum + (1 - decay) * point[1]; weight = decay * weight + 1 - decay; }
      return [point[0], weight > 0 ? sum / weight : null];
    });
  }

  // Colours that can be told apart by those who see no red or no green (Okabe and Ito 2008).
  var COLOURS = ['#0072b2', '#e69f00', '#009e73', '#cc79a7', '#56b4e9', '#d55e00'];

  function series(chart) {
    var list = [];
    chart.series.forEach(function (one, i) {
      var long = one.points.length > 100 && one.smooth, colour = COLOURS[i % COLOURS.length];
      list.push({ name: one.name, type: 'line', data: one.points.map(drawable), showSymbol: one.points.length < 60, symbolSize: 5,
        lineStyle: { width: long ? 1 : 2, opacity: long ? 0.35 : 1 }, itemStyle: { color: colour } });
      if (long) {
        list.push({ name: one.name + ', smoothed', type: 'line', data: smoothed(one.points), showSymbol: false,
          lineStyle: { width: 2 }, itemStyle: { color: colour } });
      }
    });
    return list;
  }

  function option(chart, log) {
    return {
      animation: !still.matches, backgroundColor: 'transparent', aria: { enabled: true },
      grid: { left: 8, right: 16, top: 36, bottom: 28, containLabel: true }, legend: { type: 'scroll', top: 0, left: 0, right: 110 },
      tooltip: { trigger: 'axis', confine: true },
      toolbox: { feature: { dataZoom: { yAxisIndex: 'none' }, restore: {}, saveAsImage: { name: chart.id } } },
      xAxis: { type: 'value', name: chart.x, nameLocation: 'middle', nameGap: 24, min: 'dataMin', max: 'dataMax' },
      yAxis: { type: log ? 'log' : 'value', name: chart.y, scale: true },
      series: series(chart)
    };
  }

  function draw(entry) {
    if (entry.picture) entry.picture.dispose();
    entry.picture = echarts.init(entry.box, dark.matches ? 'dark' : null, { renderer: 'canvas' });
    entry.picture.setOption(option(entry.chart, entry.log));
  }

  page.charts.forEach(function (chart) {
    var box = document.getElementById('chart-' + chart.id), switcher = document.getElementById('log-' + chart.id);
    var entry = { chart: chart, box: box, log: false };
    drawn.push(entry);
    if (switcher) switcher.addEventListener('change', function () { entry.log = switcher.checked; draw(entry); });
    draw(entry);
  });
  dark.addEventListener('change', function () { drawn.forEach(draw); });
  window.addEventListener('resize', function () { drawn.forEach(function (entry) { entry.picture.resize(); }); });
}());
