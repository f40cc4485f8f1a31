/** JSON for people: two blanks a level; a list or object that is short stays on its line. */
export function renderJson(value: object): string {
  return `${render(value, '')}\n`;
}

const SHORT = 76;

function render(value: unknown, indent: string): string {
  const oneLine = renderOneLine(value);
  const isTop = indent === '';
  if (typeof value !== 'object' || value === null || (!isTop && oneLine.length <= SHORT))
    return oneLine;
  const inner = `${indent}  `;
  const [open, close] = Array.isArray(value) ? '[]' : '{}';
  const parts = Array.isArray(value)
    ? value.map((item) => render(item, inner))
    : Object.entries(value).map(([key, item]) => `${JSON.stringify(key)}: ${render(item, inner)}`);
  return `${open ?? ''}\n${parts.map((part) => inner + part).join(',\n')}\n${indent}${close ?? ''}`;
}

function renderOneLine(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(renderOneLine).join(', ')}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  const parts = Object.entries(value).map(
    ([key, item]) => `${JSON.stringify(key)}: ${renderOneLine(item)}`,
  );
  return parts.length === 0 ? '{}' : `{ ${parts.join(', ')} }`;
}
