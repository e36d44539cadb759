/* Polls what changes by itself, and fills the review of the wizard. All texts are set as text, never as markup. */
(function () {
  'use strict';

  var INTERVAL = 2500;
  var SLOWEST = 30000;

  /* What a page shows outside of the polled fragment depends on the status too: actions, facts and the drawn resources. */
  var DEPENDENT = ['.detail-actions', '[data-dp-facts]'];

  function renew() {
    if (!$(DEPENDENT.join()).length) {
      return;
    }
    $.ajax({url: window.location.href, dataType: 'html'}).done(function (html) {
      // Scripts in a document that is parsed like this do not run.
      var page = new DOMParser().parseFromString(html, 'text/html');
      DEPENDENT.forEach(function (selector) {
        var now = $(selector);
        var then = $(page).find(selector);
        if (now.length && now.length === then.length) {
          now.each(function (index) {
            $(this).replaceWith(document.importNode(then[index], true));
          });
        }
      });
    });
  }

  /* Say why what is shown is not up to date. The next successful poll removes it. */
  function stale(element, reason) {
    $(element).children('.dp-stale').remove();
    if (reason) {
      $(element).append($('<p class="alert alert-warning dp-stale">').text(reason));
    }
  }

  function poll(element, delay) {
    var url = element.getAttribute('data-dp-poll');
    if (!url) {
      return;
    }
    window.setTimeout(function () {
      if (!document.body.contains(element)) {
        return;
      }
      $.ajax({url: url, dataType: 'html'}).done(function (html) {
        // The fragment is rendered by Horizon, which escapes what is in it.
        var next = $(html).filter('div').first();
        if (next.length) {
          $(element).replaceWith(next);
          if (next[0].getAttribute('data-dp-poll')) {
            poll(next[0], INTERVAL);
          } else {
            renew();
          }
        }
      }).fail(function (request) {
        if (request.status !== 401 && request.status !== 403) {
          stale(element, request.status === 503 ? request.responseText : '');
          poll(element, Math.min(SLOWEST, delay * 2));
        }
      });
    }, delay);
  }

  function text(field) {
    if (field.type === 'checkbox' || field.type === 'radio') {
      var label = $(field).closest('label').find('span').first().text() || $('label[for="' + field.id + '"]').first().text();
      return field.checked ? $.trim(label) : '';
    }
    if (field.tagName === 'SELECT') {
      return $.trim($(field).find('option:selected').text());
    }
    return field.value;
  }

  function review(list) {
    var values = {};
    var names = [];
    $(list).empty();
    $(list).closest('form').find(':input[name]').each(function () {
      var group = $(this).closest('.form-group');
      var hidden = this.type === 'hidden' || this.type === 'submit' || (group.length && group.css('display') === 'none');
      var value = hidden ? '' : text(this);
      if (!value) {
        return;
      }
      var name = $.trim(group.find('.field-label, label').first().text()) || this.name;
      if (this.type === 'checkbox' && !$(this).closest('.dp-tree').length) {
        name = value;
        value = '\u2713';
      }
      if (!(name in values)) {
        values[name] = [];
        names.push(name);
      }
      values[name].push(value);
    });
    names.forEach(function (name) {
      $(list).append($('<dt>').text(name), $('<dd>').text(values[name].join(', ')));
    });
  }

  function start(root) {
    $(root).find('[data-dp-poll]').addBack('[data-dp-poll]').each(function () {
      poll(this, INTERVAL);
    });
  }

  /* Horizon gives no names to check boxes of rows and to menus of actions. */
  function name() {
    $('[data-dp-names]').each(function () {
      var texts = this.dataset;
      $(this).find('.dropdown-toggle').attr('aria-label', texts.dpMore);
      $(this).find('.multi-select-header').attr('aria-label', texts.dpAll);
      $(this).find('.table-row-multi-select[name]').each(function () {
        this.setAttribute('aria-label', $.trim($(this).closest('tr').children('td').eq(1).text()) || this.value);
      });
    });
  }

  /* What this cloud has is no choice for another one. */
  function offer() {
    var here = $(this).val() === 'here';
    $(this).closest('form').find('input').filter('[list], [data-dp-list]').each(function () {
      var list = this.getAttribute('list') || this.getAttribute('data-dp-list');
      this.setAttribute('data-dp-list', list);
      if (here) {
        this.setAttribute('list', list);
      } else {
        this.removeAttribute('list');
      }
    });
  }

  $(function () {
    start(document);
    name();
    // Rows and actions are replaced while something runs.
    $(document).ajaxComplete(function () {
      window.setTimeout(name);
    });
    $('[data-slug="dp_where"]').each(offer).on('change', offer);
    $(document).on('shown.bs.tab', function (event) {
      // With the keyboard, the user continues in the first field of the next step.
      $('[data-dp-review]').closest('form').find(event.target.getAttribute('data-target'))
        .find(':input:visible').first().trigger('focus');
      $('[data-dp-review]:visible').each(function () {
        review(this);
      });
    });
  });
}());
